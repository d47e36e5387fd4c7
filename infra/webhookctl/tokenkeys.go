package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// tokenKeyFlags say where the store's token keys are: in a file, or in KMS.
type tokenKeyFlags struct {
	TokenKeyFile string `env:"WEBHOOKS_TOKEN_KEY_FILE" placeholder:"FILE" help:"Key that encrypts webhook tokens${token_key_created}. Default: token.key in --data. Back it up."`
	KMSKey       string `name:"kms-key" env:"WEBHOOKS_KMS_KEY" placeholder:"KEY" help:"DynamoDB: encrypt webhook tokens under this KMS key instead (ID, ARN or alias/NAME), as the deployed functions do."`
	KMSEndpoint  string `name:"kms-endpoint" env:"WEBHOOKS_KMS_ENDPOINT" placeholder:"URL" hidden:"" help:"KMS endpoint to use instead of the region's, for local development."`
}

// validate rejects contradictory flags.
func (f *tokenKeyFlags) validate(storage *storageFlags) error {
	switch {
	case f.KMSKey == "":
		return nil
	case f.TokenKeyFile != "":
		return errors.New("--kms-key and --token-key-file exclude each other: use one of them")
	case storage.Store != storeDynamoDB:
		return errors.New("--kms-key requires --store dynamodb")
	case f.KMSEndpoint != "":
		return validateEndpoint("--kms-endpoint", f.KMSEndpoint)
	}
	return nil
}

// warn logs that the deployed functions do not use a key file.
func (f *tokenKeyFlags) warn(log *slog.Logger, storage *storageFlags) {
	if f.KMSKey == "" && storage.Store == storeDynamoDB && !endpoint.LocalOverride(storage.DynamoDBEndpoint) {
		log.Warn("webhook tokens are encrypted with a key file, but the deployed functions use KMS and cannot decrypt them: use --kms-key")
	}
}

// file returns the path of the token key file.
func (f *tokenKeyFlags) file(storage *storageFlags) string {
	if f.TokenKeyFile != "" {
		return f.TokenKeyFile
	}
	return filepath.Join(storage.Data, "token.key")
}

// sealer returns a sealer with the KMS key or the token key file. It creates the file if it does not exist. A store must not have
// tokens under keys of different files: it is an error if the file is missing although there are webhooks, or cannot decrypt the
// newest one. With DynamoDB this is not checked, because finding a webhook would mean reading the whole table.
func (f *tokenKeyFlags) sealer(ctx context.Context, c *console, storage *storageFlags, s *opened) (seal.Sealer, error) {
	if f.KMSKey != "" {
		return f.kmsSealer(ctx, c, s)
	}
	reading, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	newest, err := s.newest(reading)
	found := err == nil
	if !found && webhook.KindOf(err) != webhook.KindNotFound {
		return seal.Sealer{}, storeError(err)
	}
	path := f.file(storage)
	if _, err := os.Stat(path); found && errors.Is(err, fs.ErrNotExist) {
		return seal.Sealer{}, fmt.Errorf("token key file %s does not exist, but %s has webhooks whose tokens need it: restore it from its backup, or pass its path with --token-key-file", path, s.place)
	}
	if f.TokenKeyFile == "" {
		if err := storage.makeDataDir(); err != nil {
			return seal.Sealer{}, err
		}
	}
	// The file is read only once, because it may be a pipe.
	keys, created, err := seal.LoadOrCreateKeyFile(ctx, path, c.random)
	if err != nil {
		return seal.Sealer{}, fmt.Errorf("%w (--token-key-file)", err)
	}
	sealer := seal.Sealer{Keys: keys, Random: c.random}
	if found {
		if _, err := sealer.Open(ctx, newest.Company, newest.ID, newest.SealedToken); err != nil {
			return seal.Sealer{}, fmt.Errorf("%s is not the token key file of the webhooks in %s: restore the right one from its backup, or pass its path with --token-key-file (%w)", path, s.place, err)
		}
	}
	if created && !storage.isDev() {
		c.log.Warn("created a new token key: BACK IT UP, because webhook tokens cannot be decrypted without it", "file", path)
	}
	if keys.HasZeroKey() {
		c.log.Warn("a token key is all zero bytes, so anyone who has the database can decrypt the webhook tokens: put a random key above it and restart", "file", path)
	}
	return sealer, nil
}

// kmsSealer calls KMS now, because an error would be less clear with the first webhook.
func (f *tokenKeyFlags) kmsSealer(ctx context.Context, c *console, s *opened) (seal.Sealer, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	sealer := seal.Sealer{Keys: s.kmsKeys(f.KMSKey, f.KMSEndpoint), Random: c.random}
	err := sealer.Check(ctx)
	if e, ok := errors.AsType[*webhook.Error](err); ok && e.Cause != nil {
		err = e.Cause
	}
	if err != nil {
		return seal.Sealer{}, fmt.Errorf("cannot use the KMS key: check --kms-key, the region and the permissions kms:GenerateDataKey and kms:Decrypt: %w", err)
	}
	return sealer, nil
}

// existingSealer returns a sealer for existing tokens. If the default token key file does not exist, it is not created and
// the sealer cannot open anything.
func (f *tokenKeyFlags) existingSealer(ctx context.Context, c *console, storage *storageFlags, s *opened) (seal.Sealer, error) {
	if f.KMSKey != "" {
		return f.kmsSealer(ctx, c, s)
	}
	if _, err := os.Stat(f.file(storage)); f.TokenKeyFile == "" && errors.Is(err, fs.ErrNotExist) {
		return seal.Sealer{Keys: seal.KeyRing{}, Random: c.random}, nil
	}
	return fileSealer(ctx, c, "--token-key-file", f.file(storage))
}

// fileSealer returns a sealer with a key file that must exist.
func fileSealer(ctx context.Context, c *console, flag, path string) (seal.Sealer, error) {
	keys, err := seal.LoadKeyFile(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return seal.Sealer{}, fmt.Errorf("%s %s does not exist: check the path of the key file", flag, path)
	}
	if err != nil {
		return seal.Sealer{}, fmt.Errorf("%w (%s)", err, flag)
	}
	return seal.Sealer{Keys: keys, Random: c.random}, nil
}
