package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"webhooks/infra/webhookctl/transfer"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// importCmd is "webhookctl import".
type importCmd struct {
	File          string        `arg:"" help:"File that export wrote; - for stdin."`
	ExportKeyFile string        `required:"" env:"WEBHOOKS_EXPORT_KEY_FILE" placeholder:"FILE" help:"Key file that the export was written with."`
	TokenKeys     tokenKeyFlags `embed:"" set:"token_key_created=, created if the store has no webhooks"`
}

// Help is the end of "webhookctl import --help".
func (*importCmd) Help() string {
	return `IDs, times, versions, the order of events and types, removed types, and the expiry and revocation of API keys stay the same, so customers keep using their API keys and tokens. Tokens are sealed with the token key of this store.

Import never changes what exists. If an item exists and is the same, nothing happens, so run an interrupted import again, or one that stopped at a damaged line: it continues where it stopped. If an item exists and differs, import reports it, imports everything else, and exits with status 1. Quotas are not enforced: a company over its quota keeps all its webhooks but cannot create more.

Examples:

    webhookctl import acme.jsonl --export-key-file acme.key
    gpg --decrypt acme.jsonl.gpg | webhookctl import - --export-key-file acme.key
    webhookctl import acme.jsonl --export-key-file acme.key --store dynamodb --region eu-west-1 --table-prefix prod- --kms-key alias/prod-tokens`
}

// Run imports the exports of all companies in the file in one pass.
func (cmd *importCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := errors.Join(storage.validate(), cmd.TokenKeys.validate(storage)); err != nil {
		return err
	}
	from, err := fileSealer(ctx, c, "--export-key-file", cmd.ExportKeyFile)
	if err != nil {
		return err
	}
	return untilSignal(ctx, func(ctx context.Context) error {
		file, err := cmd.open(ctx)
		if err != nil {
			return err
		}
		defer file.Close()
		in, err := transfer.NewReader(interruptible(ctx, file.Read))
		if err != nil {
			return fmt.Errorf("%s: %w", cmd.name(), err)
		}
		s, err := storage.open(ctx, c, create)
		if err != nil {
			return err
		}
		return errors.Join(cmd.load(ctx, c, storage, s, from, in), s.close())
	})
}

// open opens the export, which may be a pipe that has no writer yet.
func (cmd *importCmd) open(ctx context.Context) (*os.File, error) {
	if cmd.File == stdio {
		return os.Stdin, nil
	}
	file, err := await(ctx, func() (*os.File, error) { return os.Open(cmd.File) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s does not exist: check the path, or use - for stdin", cmd.File)
	}
	if err != nil {
		return nil, fmt.Errorf("the export: %w", err)
	}
	return file, nil
}

func (cmd *importCmd) load(ctx context.Context, c *console, storage *storageFlags, s *opened, from seal.Sealer, in *transfer.Reader) error {
	if err := ping(ctx, s); err != nil {
		return storeError(err)
	}
	cmd.TokenKeys.warn(c.log, storage)
	to, err := cmd.TokenKeys.sealer(ctx, c, storage, s)
	if err != nil {
		return err
	}
	differs := func(what string) { fmt.Fprintln(c.err, what+".") }
	importer := transfer.Importer{Target: s, From: from, To: to, Differs: differs}
	differing := 0
	for more := true; more && err == nil; {
		var result transfer.Result
		result, err = importer.Import(ctx, in)
		fmt.Fprintf(c.out, "Company %s in %s: imported %s; %s already existed.\n", in.Company, s.place, result.Stored, result.Same)
		differing += result.Differs.Total()
		if err == nil {
			more, err = in.NextCompany()
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w; what has been imported stays: run the import again once this is resolved", cmd.name(), cmd.explain(err))
	}
	if differing > 0 {
		return fmt.Errorf("did not import %s in %s with different data: see above", plural(differing, "item that exists", "items that exist"), s.place)
	}
	return nil
}

func (cmd *importCmd) explain(err error) error {
	if errors.Is(err, seal.ErrUnknownKey) || errors.Is(err, seal.ErrNotSealed) {
		return fmt.Errorf("%w: %s is not the key file that the export was written with", err, cmd.ExportKeyFile)
	}
	if _, ok := errors.AsType[*webhook.Error](err); ok {
		return storeError(err)
	}
	return err
}

// name names the file for people.
func (cmd *importCmd) name() string {
	if cmd.File == stdio {
		return "stdin"
	}
	return cmd.File
}
