package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"webhooks/infra/webhookctl/transfer"
	"webhooks/shared/seal"
)

// exportCmd is "webhookctl export".
type exportCmd struct {
	Company       *string       `env:"WEBHOOKS_COMPANY" placeholder:"C" help:"Company to export. By default, export all companies."`
	ExportKeyFile string        `required:"" env:"WEBHOOKS_EXPORT_KEY_FILE" placeholder:"FILE" help:"Key file that seals the tokens in the export. Created if it does not exist. Import needs it, too."`
	Output        string        `env:"WEBHOOKS_OUTPUT" placeholder:"FILE" help:"File to write, which must not exist. Default, and -: stdout."`
	TokenKeys     tokenKeyFlags `embed:"" set:"token_key_created="`
}

// Help is the end of "webhookctl export --help".
func (*exportCmd) Help() string {
	return `The export is text, one JSON object per line: for each company, the event types of the platform and of the company, including removed ones, the company's API keys (their SHA-256, not the keys), and its webhooks. Their tokens are sealed with the key in --export-key-file: anyone who has the export and this file can read the tokens. Idempotency records are not exported. "webhookctl import" imports the export into any store.

On DynamoDB, exporting all companies reads the whole table to find them.

The service may be running. Changes made during the export may or may not be included, so stop writes before you migrate.

Examples:

    webhookctl export --company acme --export-key-file acme.key --output acme.jsonl
    webhookctl export --export-key-file export.key --output all.jsonl
    webhookctl export --company acme --export-key-file acme.key --output acme.jsonl --store dynamodb --region eu-west-1 --table-prefix prod- --kms-key alias/prod-tokens`
}

// Run writes the export.
func (cmd *exportCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	company, err := optionalCompany(cmd.Company)
	if err := errors.Join(err, cmd.TokenKeys.validate(storage)); err != nil {
		return err
	}
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) error {
		companies, err := companyOrAll(ctx, s, company)
		if err != nil {
			return err
		}
		return cmd.export(ctx, c, storage, s, companies)
	})
}

// export writes the export and, if it does not exist, the key file. If it fails, it removes the files that it created.
func (cmd *exportCmd) export(ctx context.Context, c *console, storage *storageFlags, s *opened, companies []string) (err error) {
	var created []string
	defer func() {
		for _, path := range created {
			if err != nil {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	if len(companies) == 0 {
		return fmt.Errorf("no company has webhooks, API keys or event types in %s: check the store", s.place)
	}
	from, err := cmd.TokenKeys.existingSealer(ctx, c, storage, s)
	if err != nil {
		return err
	}
	var out io.Writer = interruptible(ctx, c.out.Write)
	var file *os.File
	if cmd.Output != "" && cmd.Output != stdio {
		if file, err = cmd.createOutput(); err != nil {
			return err
		}
		defer file.Close()
		created, out = append(created, cmd.Output), file
	}
	keys, isNew, err := seal.LoadOrCreateKeyFile(ctx, cmd.ExportKeyFile, c.random)
	if err != nil {
		return fmt.Errorf("%w (--export-key-file)", err)
	}
	if isNew {
		created = append(created, cmd.ExportKeyFile)
	}
	exporter := transfer.Exporter{Source: s, From: from, To: seal.Sealer{Keys: keys, Random: c.random}}
	var report strings.Builder
	var company string
	for i := 0; err == nil && i < len(companies); i++ {
		company = companies[i]
		var written transfer.Counts
		written, err = exporter.Export(ctx, company, len(companies)-i-1, out)
		fmt.Fprintf(&report, "Exported company %s from %s: %s.\n", company, s.place, written)
	}
	if err == nil && file != nil {
		err = file.Sync()
	}
	switch {
	case errors.Is(err, transfer.ErrNothing):
		return fmt.Errorf("company %s has no webhooks, API keys or event types in %s: check --company", company, s.place)
	case errors.Is(err, seal.ErrUnknownKey):
		return fmt.Errorf("%w: pass the token key file of this store with --token-key-file, or its --kms-key", err)
	case err != nil:
		return storeError(err)
	}
	fmt.Fprint(c.err, report.String())
	return nil
}

func (cmd *exportCmd) createOutput() (*os.File, error) {
	file, err := os.OpenFile(cmd.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s already exists: choose the path of a new file with --output", cmd.Output)
	}
	if err != nil {
		return nil, fmt.Errorf("--output: %w", err)
	}
	return file, nil
}
