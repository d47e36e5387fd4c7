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
	"webhooks/shared/webhook"
)

// importCmd is "webhookctl import".
type importCmd struct {
	File               string        `arg:"" help:"What export wrote; - for stdin."`
	SourceTokenKeyFile string        `env:"WEBHOOKS_SOURCE_TOKEN_KEY_FILE" placeholder:"FILE" help:"Token key file of the store that was exported: its tokens are opened with it and sealed with the key of this store. Without it they stay as they are, and this store must be able to open them."`
	TokenKeys          tokenKeyFlags `embed:"" set:"token_key_made=, made when missing and tokens are to be sealed with it"`
}

// Help is the end of "webhookctl import --help".
func (*importCmd) Help() string {
	return `The whole file is checked before anything is stored: every line is well-formed, the last one is there, and every token can be opened. Ids, times, versions, the order of events and types, removed types, and the API keys' expiry and revocation stay as they were, so customers go on with their keys and tokens.

What is there already is never changed. Where it is the same, nothing happens, so an import that was interrupted can be run again; where it differs, that is told, everything else is stored, and the command ends with 1. Quotas are not asked: a company that has more than its quota keeps all its webhooks, and can make no more.

Examples:

    webhookctl import acme.jsonl
    webhookctl import acme.jsonl --store dynamodb --region eu-west-1 --table-prefix prod- --kms-key alias/prod-webhooks --source-token-key-file token.key
    webhookctl export --company acme --data old | webhookctl import - --data new --source-token-key-file old/token.key`
}

// Run checks the file, then stores what it holds.
func (cmd *importCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := errors.Join(storage.validate(), cmd.TokenKeys.validate(storage)); err != nil {
		return err
	}
	return untilSignal(ctx, func(ctx context.Context) error {
		in, err := cmd.open()
		if err != nil {
			return err
		}
		defer in.Close()
		if err := cmd.refuseDatabase(in); err != nil {
			return err
		}
		if err := cmd.checkFirst(ctx, c, storage, in); err != nil {
			return err
		}
		s, err := storage.open(ctx, c, create)
		if err != nil {
			return err
		}
		return errors.Join(cmd.load(ctx, c, storage, s, in), s.close())
	})
}

// open opens the file. Since it is read twice, stdin is copied into one that has no name and is gone
// with the process.
func (cmd *importCmd) open() (*os.File, error) {
	if cmd.File != "-" {
		file, err := os.Open(cmd.File)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no %s: check the path, or give - for standard input", cmd.File)
		}
		if err != nil {
			return nil, fmt.Errorf("the export: %w", err)
		}
		return file, nil
	}
	file, err := os.CreateTemp("", "webhookctl-import-*") // made with mode 0600
	if err != nil {
		return nil, fmt.Errorf("keeping stdin for the second reading: %w", err)
	}
	_, err = io.Copy(file, os.Stdin)
	if err = errors.Join(err, os.Remove(file.Name())); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping stdin for the second reading: %w", err), file.Close())
	}
	return file, nil
}

// checkFirst checks a file that a new SQLite database is to be begun for, so that there is none when the
// file is refused.
func (cmd *importCmd) checkFirst(ctx context.Context, c *console, storage *storageFlags, in *os.File) error {
	if _, err := os.Stat(storage.databaseFile()); storage.Store != storeSQLite || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	source, err := cmd.source(c)
	if err != nil {
		return err
	}
	importer := transfer.Importer{Source: source}
	if _, err := os.Stat(cmd.TokenKeys.file(storage)); source == nil || err == nil {
		if importer.Sealer, err = cmd.TokenKeys.existingSealer(ctx, c, storage, nil); err != nil {
			return err
		}
	}
	_, err = cmd.check(ctx, importer, in)
	return err
}

func (cmd *importCmd) check(ctx context.Context, importer transfer.Importer, in *os.File) (transfer.Checked, error) {
	checked, err := rewound(in, func() (transfer.Checked, error) { return importer.Check(ctx, in) })
	if err != nil {
		return transfer.Checked{}, cmd.explain(err)
	}
	return checked, nil
}

func (cmd *importCmd) load(ctx context.Context, c *console, storage *storageFlags, s *opened, in *os.File) error {
	importer, err := cmd.importer(ctx, c, storage, s)
	if err != nil {
		return err
	}
	checked, err := cmd.check(ctx, importer, in)
	if err != nil {
		return err
	}
	result, err := rewound(in, func() (transfer.Result, error) { return importer.Import(ctx, in) })
	if err != nil {
		return fmt.Errorf("%w: what was stored until then stays, run it again", cmd.explain(err))
	}
	fmt.Fprintf(c.out, "Company %s in %s: %s stored, %s there already.\n", checked.Company, s.place, result.Stored, result.Same)
	if n := result.Differs.Total(); n > 0 {
		return fmt.Errorf("%s from what %s has, which stays as it is: see above",
			plural(n, "item of the export differs", "items of the export differ"), s.place)
	}
	return nil
}

// importer has the keys of both sides. It makes the token key file of this store only to seal with.
func (cmd *importCmd) importer(ctx context.Context, c *console, storage *storageFlags, s *opened) (transfer.Importer, error) {
	importer := transfer.Importer{
		Target:  s,
		Differs: func(what string) { fmt.Fprintln(c.err, what+".") },
	}
	err := ping(ctx, s)
	if err != nil {
		return transfer.Importer{}, storeError(err)
	}
	cmd.TokenKeys.warn(c.log, storage)
	if importer.Source, err = cmd.source(c); err != nil {
		return transfer.Importer{}, err
	}
	if importer.Source != nil {
		importer.Sealer, err = cmd.TokenKeys.sealer(ctx, c, storage, s)
		return importer, err
	}
	if err := cmd.TokenKeys.prove(ctx, c, storage, s); err != nil {
		return transfer.Importer{}, err
	}
	importer.Sealer, err = cmd.TokenKeys.existingSealer(ctx, c, storage, s)
	return importer, err
}

// source opens the tokens of the file, or is nil where the keys of this store do.
func (cmd *importCmd) source(c *console) (*seal.Sealer, error) {
	if cmd.SourceTokenKeyFile == "" {
		return nil, nil
	}
	sealer, err := fileSealer(c, "--source-token-key-file", cmd.SourceTokenKeyFile)
	if err != nil {
		return nil, err
	}
	return &sealer, nil
}

// rewound reads the file from its start.
func rewound[T any](in io.Seeker, read func() (T, error)) (T, error) {
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		var none T
		return none, err
	}
	return read()
}

func (cmd *importCmd) explain(err error) error {
	switch {
	case errors.Is(err, seal.ErrUnknownKey) && cmd.SourceTokenKeyFile == "":
		return fmt.Errorf("%s: %w: give the token key file of the store that was exported with --source-token-key-file", cmd.name(), err)
	case errors.Is(err, seal.ErrUnknownKey):
		return fmt.Errorf("%s: %w: %s is not the token key file of the store that was exported", cmd.name(), err, cmd.SourceTokenKeyFile)
	}
	if _, ok := errors.AsType[*webhook.Error](err); ok {
		return storeError(err)
	}
	return fmt.Errorf("%s: %w", cmd.name(), err)
}

// name names the file to people.
func (cmd *importCmd) name() string {
	if cmd.File == "-" {
		return "stdin"
	}
	return cmd.File
}

// refuseDatabase tells who confuses import with restore. The rest is for the reading of the lines.
func (cmd *importCmd) refuseDatabase(in io.ReaderAt) error {
	const magic = "SQLite format 3\x00"
	start := make([]byte, len(magic))
	if n, _ := in.ReadAt(start, 0); string(start[:n]) == magic {
		return fmt.Errorf("%s: this is an SQLite database: use \"webhookctl restore\"", cmd.name())
	}
	return nil
}
