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
	TokenKeyFile string `env:"WEBHOOKS_TOKEN_KEY_FILE" placeholder:"FILE" help:"Key that encrypts webhook tokens${token_key_made}; token.key in --data if not given. Back it up."`
	KMSKey       string `name:"kms-key" env:"WEBHOOKS_KMS_KEY" placeholder:"KEY" help:"DynamoDB: encrypt webhook tokens under this KMS key instead (id, ARN or alias/NAME), as the deployed functions do."`
	KMSEndpoint  string `name:"kms-endpoint" env:"WEBHOOKS_KMS_ENDPOINT" placeholder:"URL" hidden:"" help:"Another KMS than the region's, for trying out."`
}

// validate finds what contradicts itself.
func (f *tokenKeyFlags) validate(storage *storageFlags) error {
	switch {
	case f.KMSKey == "":
		return nil
	case f.TokenKeyFile != "":
		return errors.New("--kms-key and --token-key-file are given, and tokens have one kind of key: leave one out")
	case storage.Store != storeDynamoDB:
		return errors.New("--kms-key is given, but the store is sqlite: add --store dynamodb, or leave it out")
	case f.KMSEndpoint != "":
		return validateEndpoint("--kms-endpoint", f.KMSEndpoint)
	}
	return nil
}

// warn says that a key file is not what the deployed functions use.
func (f *tokenKeyFlags) warn(log *slog.Logger, storage *storageFlags) {
	if f.KMSKey == "" && storage.Store == storeDynamoDB && !endpoint.LocalOverride(storage.DynamoDBEndpoint) {
		log.Warn("webhook tokens are sealed with a key file, and the deployed functions use KMS: they cannot open such tokens; give --kms-key")
	}
}

// file is the token key file.
func (f *tokenKeyFlags) file(storage *storageFlags) string {
	if f.TokenKeyFile != "" {
		return f.TokenKeyFile
	}
	return filepath.Join(storage.Data, "token.key")
}

// sealer uses the KMS key or the token key file. A file that is missing is made, unless there are
// webhooks whose tokens need the one that is missing.
func (f *tokenKeyFlags) sealer(ctx context.Context, c *console, storage *storageFlags, s *opened) (seal.Sealer, error) {
	if f.KMSKey != "" {
		return f.kmsSealer(ctx, c, s)
	}
	if err := f.prove(ctx, c, storage, s); err != nil {
		return seal.Sealer{}, err
	}
	path := f.file(storage)
	if f.TokenKeyFile == "" {
		if err := storage.makeDataDir(); err != nil {
			return seal.Sealer{}, err
		}
	}
	keys, created, err := seal.LoadOrCreateKeyFile(path, c.random)
	if err != nil {
		return seal.Sealer{}, fmt.Errorf("%w (--token-key-file)", err)
	}
	if created {
		c.log.Warn("a new token key was made: BACK IT UP, without it no webhook token can be read again", "file", path)
	}
	return seal.Sealer{Keys: keys, Random: c.random}, nil
}

// prove refuses a token key file that is not the one of the store's webhooks, or is missing although
// there are some: with another key, what is sealed from then on and what was before would never
// be opened by the same one. It makes nothing. On DynamoDB it knows of no webhook to try.
func (f *tokenKeyFlags) prove(ctx context.Context, c *console, storage *storageFlags, s *opened) error {
	if s.newest == nil || f.KMSKey != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	newest, err := s.newest(ctx)
	if webhook.KindOf(err) == webhook.KindNotFound {
		return nil
	}
	if err != nil {
		return storeError(err)
	}
	path := f.file(storage)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no token key file %s, and %s has webhooks whose tokens need it: put it back from its backup, or name it with --token-key-file", path, s.place)
	}
	sealer, err := fileSealer(c, "--token-key-file", path)
	if err != nil {
		return err
	}
	if _, err := sealer.Open(ctx, newest.Company, newest.ID, newest.SealedToken); err != nil {
		return fmt.Errorf("%s is not the token key file of the webhooks in %s: put the right one back from its backup, or name it with --token-key-file (%w)", path, s.place, err)
	}
	return nil
}

// kmsSealer asks KMS now, since the first webhook would fail less clearly.
func (f *tokenKeyFlags) kmsSealer(ctx context.Context, c *console, s *opened) (seal.Sealer, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	sealer := seal.Sealer{Keys: s.kmsKeys(f.KMSKey, f.KMSEndpoint), Random: c.random}
	err := sealer.Check(ctx)
	if e, ok := errors.AsType[*webhook.Error](err); ok && e.Cause != nil {
		err = e.Cause
	}
	if err != nil {
		return seal.Sealer{}, fmt.Errorf("the KMS key cannot be used, check --kms-key, the region and the permissions kms:GenerateDataKey and kms:Decrypt: %w", err)
	}
	return sealer, nil
}

// existingSealer is sealer for what is sealed already. A file that is missing is not made, and then
// nothing can be opened.
func (f *tokenKeyFlags) existingSealer(ctx context.Context, c *console, storage *storageFlags, s *opened) (seal.Sealer, error) {
	if _, err := os.Stat(f.file(storage)); f.KMSKey == "" && f.TokenKeyFile == "" && errors.Is(err, fs.ErrNotExist) {
		return seal.Sealer{Keys: seal.KeyRing{}, Random: c.random}, nil
	}
	if f.KMSKey == "" {
		return fileSealer(c, "--token-key-file", f.file(storage))
	}
	return f.kmsSealer(ctx, c, s)
}

// fileSealer uses a token key file that must be there.
func fileSealer(c *console, flag, path string) (seal.Sealer, error) {
	if _, err := os.Stat(path); err != nil {
		return seal.Sealer{}, fmt.Errorf("%s: %w: give the path of a token key file", flag, err)
	}
	keys, _, err := seal.LoadOrCreateKeyFile(path, c.random)
	if err != nil {
		return seal.Sealer{}, fmt.Errorf("%w (%s)", err, flag)
	}
	return seal.Sealer{Keys: keys, Random: c.random}, nil
}
