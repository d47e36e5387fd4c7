package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"webhooks/infra/webhookctl/transfer"
	"webhooks/shared/seal"
)

// exportCmd is "webhookctl export".
type exportCmd struct {
	Company            string        `required:"" env:"WEBHOOKS_COMPANY" placeholder:"C" help:"Company to export."`
	Output             string        `env:"WEBHOOKS_OUTPUT" placeholder:"FILE" help:"File to write, which must not exist. Without it, stdout."`
	TargetTokenKeyFile string        `env:"WEBHOOKS_TARGET_TOKEN_KEY_FILE" placeholder:"FILE" help:"Seal the tokens anew with this token key file, of the store that they are for. Without it they stay sealed as they are, and import may need the key of this store."`
	TokenKeys          tokenKeyFlags `embed:"" set:"token_key_made=, needed with --target-token-key-file"`
}

// Help is the end of "webhookctl export --help".
func (*exportCmd) Help() string {
	return `Text, one JSON object a line: the platform's event types and the company's, also those that were removed, the company's API keys (their SHA-256, not the keys), and its webhooks with their tokens sealed. Records of Idempotency-Keys are not in it. "webhookctl import" stores it in the same store or another one.

The service may be running. What is made or deleted meanwhile may be in the export or not, so end the writing first when you move.

Where tokens have to be sealed anew, one side needs the keys of both: import takes the token key file of this store (--source-token-key-file), or export that of the other (--target-token-key-file). The second is for tokens that are under a KMS key here.

Examples:

    webhookctl export --company acme --output acme.jsonl
    webhookctl export --company acme --store dynamodb --region eu-west-1 --table-prefix prod- --kms-key alias/prod-webhooks --target-token-key-file token.key --output acme.jsonl`
}

// Run writes the export.
func (cmd *exportCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := validateCompany(cmd.Company); err != nil {
		return err
	}
	if err := cmd.TokenKeys.validate(storage); err != nil {
		return err
	}
	return untilSignal(ctx, func(ctx context.Context) error {
		s, err := storage.open(ctx, c, existing)
		if err != nil {
			return err
		}
		return errors.Join(cmd.export(ctx, c, storage, s), s.close())
	})
}

func (cmd *exportCmd) export(ctx context.Context, c *console, storage *storageFlags, s *opened) error {
	exporter := transfer.Exporter{Source: s}
	if cmd.TargetTokenKeyFile != "" {
		var err error
		if exporter.Reseal, err = cmd.reseal(ctx, c, storage, s); err != nil {
			return err
		}
	}
	out, finish, err := cmd.output(c)
	if err != nil {
		return err
	}
	written, err := exporter.Export(ctx, cmd.Company, out)
	if err := finish(err); err != nil {
		return cmd.explain(err, s)
	}
	fmt.Fprintf(c.err, "Company %s in %s: %s written.\n", cmd.Company, s.place, written)
	return nil
}

// reseal gives what opens the tokens of this store and what seals them for the other one.
func (cmd *exportCmd) reseal(ctx context.Context, c *console, storage *storageFlags, s *opened) (*[2]seal.Sealer, error) {
	to, err := fileSealer(c, "--target-token-key-file", cmd.TargetTokenKeyFile)
	if err != nil {
		return nil, err
	}
	from, err := cmd.TokenKeys.existingSealer(ctx, c, storage, s)
	if err != nil {
		return nil, err
	}
	return &[2]seal.Sealer{from, to}, nil
}

// output opens what is written to, and gives what ends the writing: with an error it leaves no file
// behind.
func (cmd *exportCmd) output(c *console) (out io.Writer, finish func(error) error, err error) {
	if cmd.Output == "" {
		return c.out, func(err error) error { return err }, nil
	}
	file, err := os.OpenFile(cmd.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, nil, fmt.Errorf("%s exists already: give the path of a new file with --output", cmd.Output)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("--output: %w", err)
	}
	return file, func(err error) error {
		if err == nil {
			err = file.Sync()
		}
		if err = errors.Join(err, file.Close()); err != nil {
			return errors.Join(err, os.Remove(cmd.Output))
		}
		return nil
	}, nil
}

func (cmd *exportCmd) explain(err error, s *opened) error {
	switch {
	case errors.Is(err, transfer.ErrNothing):
		return fmt.Errorf("company %s has nothing in %s: no webhooks, no API keys, no event types of its own: check --company", cmd.Company, s.place)
	case errors.Is(err, seal.ErrUnknownKey):
		return fmt.Errorf("%w: give the token key file of this store with --token-key-file, or its --kms-key", err)
	}
	return storeError(err)
}
