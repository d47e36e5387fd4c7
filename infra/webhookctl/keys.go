package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// keysCreateCmd is "webhookctl keys create".
type keysCreateCmd struct {
	Company     *string   `required:"" xor:"owner" env:"WEBHOOKS_COMPANY" placeholder:"C" help:"Company whose webhooks and events the key can access: 1 to 64 letters, digits, _ and -."`
	Platform    bool      `required:"" xor:"owner" env:"WEBHOOKS_PLATFORM" help:"Create a platform key, with which your own systems can publish and read the events of every company. Its permissions can only be ${platform_permissions}."`
	Permissions []string  `required:"" env:"WEBHOOKS_PERMISSIONS" placeholder:"P" help:"Permissions of the key, one or more of ${permissions}, separated by commas."`
	Label       *string   `env:"WEBHOOKS_LABEL" placeholder:"TEXT" help:"What the key is for: 1 to 100 visible characters, which \"keys list\" shows."`
	Expires     *lifetime `env:"WEBHOOKS_EXPIRES" placeholder:"30d" help:"How long the key is valid, for example 30d, 12h or 1d12h. By default, until it is revoked."`
	listFormat
}

// Help is the end of "webhookctl keys create --help".
func (*keysCreateCmd) Help() string {
	return `Prints only the key on stdout, and a note on stderr. The key cannot be shown again, because only its SHA-256 hash is stored.

JSON fields: those of "webhookctl keys list", and api_key, the key itself.

Examples:

    webhookctl keys create --company acme --permissions webhooks:read,webhooks:write
    KEY=$(webhookctl keys create --company acme --permissions webhooks:read --label "Billing dashboard" --expires 30d)
    webhookctl keys create --platform --permissions events:write --label "Billing service"`
}

// Run creates a key and prints it.
func (cmd *keysCreateCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	key, secret, err := cmd.newKey(c)
	if err != nil {
		return err
	}
	return storage.withStore(ctx, c, create, func(ctx context.Context, s *opened) error {
		if err := s.CreateKey(ctx, key); err != nil {
			return storeError(err)
		}
		fmt.Fprintf(c.err, "Created key %s for %s in %s: %s; expires: %s.\nThis is the only time the key itself is shown:\n",
			key.ID, ownerName(key), s.place, joinPermissions(key.Permissions), orNever(key.ExpiresAt, time.RFC3339))
		if err := cmd.print(c, key, secret); err != nil {
			return fmt.Errorf("the key was stored but could not be printed, revoke %s: %w", key.ID, err)
		}
		return nil
	})
}

func (cmd *keysCreateCmd) print(c *console, key access.Key, secret string) error {
	if cmd.json() {
		document := newKeyJSON(key, c.now())
		document.APIKey = secret
		return writeJSON(c.out, document)
	}
	_, err := fmt.Fprintln(c.out, secret)
	return err
}

// newKey checks the flags and returns the key that they describe, and its secret.
func (cmd *keysCreateCmd) newKey(c *console) (key access.Key, secret string, err error) {
	key.CreatedAt = c.timestamp()
	if key.Company, err = optionalCompany(cmd.Company); err != nil {
		return key, "", err
	}
	if key.Permissions, err = access.ParsePermissions(cmd.Permissions); err != nil {
		return key, "", fmt.Errorf("--permissions: %w", err)
	}
	for _, p := range key.Permissions {
		if !key.Allows(p) {
			return key, "", fmt.Errorf("--permissions: a platform key cannot have %s: use one or more of %s", p, joinPermissions(access.PlatformPermissions()))
		}
	}
	if cmd.Label != nil {
		if key.Label = *cmd.Label; !access.ValidLabel(key.Label) {
			return key, "", fmt.Errorf("--label must be 1 to %d visible characters long", access.MaxLabelLength)
		}
	}
	if secret, err = access.NewSecret(c.random); err != nil {
		return key, "", err
	}
	if key.Hash, err = access.HashSecret(secret); err != nil {
		return key, "", err
	}
	id, err := ulid.New(ulid.Timestamp(key.CreatedAt), c.random)
	if err != nil {
		return key, "", err
	}
	key.ID = access.NewKeyID(key.Company, id.String())
	if cmd.Expires != nil {
		key.ExpiresAt = key.CreatedAt.Add(time.Duration(*cmd.Expires)).Truncate(time.Millisecond)
	}
	return key, secret, nil
}

// ownerName returns what messages call the owner of a key.
func ownerName(key access.Key) string {
	if key.IsPlatform() {
		return "the platform"
	}
	return "company " + key.Company
}

// keysListCmd is "webhookctl keys list".
type keysListCmd struct {
	Company  *string `xor:"owner" env:"WEBHOOKS_COMPANY" placeholder:"C" help:"Company whose keys to list. By default, list platform keys and the keys of all companies."`
	Platform bool    `xor:"owner" env:"WEBHOOKS_PLATFORM" help:"List only platform keys."`
	listFormat
}

// Help is the end of "webhookctl keys list --help".
func (*keysListCmd) Help() string {
	return `Lists the oldest key first, and includes expired and revoked keys. Times are in UTC. LAST USED is a day. On DynamoDB, listing the keys of all companies reads the whole table.

JSON fields: keys, an array of objects with id, company (null for a platform key), label (empty if there is none), permissions (an array), created_at, expires_at and revoked_at (null if never), last_used_on (a day, null if never) and status (active, expired or revoked).

Examples:

    webhookctl keys list
    webhookctl keys list --company acme --output json
    webhookctl keys list --platform`
}

// Run prints a table of the keys.
func (cmd *keysListCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	company, err := optionalCompany(cmd.Company)
	if err != nil {
		return err
	}
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) error {
		owners := []string{company} // empty is the platform
		if cmd.Company == nil && !cmd.Platform {
			companies, err := companyOrAll(ctx, s, "")
			if err != nil {
				return err
			}
			owners = append(owners, companies...)
		}
		var keys []access.Key
		for _, owner := range owners {
			some, err := s.Keys(ctx, owner)
			if err != nil {
				return storeError(err)
			}
			keys = append(keys, some...)
		}
		switch {
		case len(keys) == 0 && company != "":
			fmt.Fprintf(c.err, "Company %s has no keys in %s.\n", company, s.place)
		case len(keys) == 0 && cmd.Platform:
			fmt.Fprintf(c.err, "There are no platform keys in %s.\n", s.place)
		case len(keys) == 0:
			fmt.Fprintf(c.err, "No keys in %s.\n", s.place)
		}
		if cmd.json() {
			return writeJSONList(c.out, "keys", keys, func(k access.Key) keyJSON { return newKeyJSON(k, c.now()) })
		}
		return writeKeys(c.out, keys, c.now())
	})
}

func writeKeys(out io.Writer, keys []access.Key, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tPERMISSIONS\tCREATED\tEXPIRES\tLAST USED\tLABEL\tSTATUS")
	for _, k := range keys {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
			k.ID, joinPermissions(k.Permissions), k.CreatedAt.UTC().Format(time.RFC3339),
			orNever(k.ExpiresAt, time.RFC3339), orNever(k.LastUsedOn, time.DateOnly), cmp.Or(k.Label, "-"), keyStatus(k, now))
	}
	return table.Flush()
}

func joinPermissions(permissions []access.Permission) string {
	return strings.Join(access.PermissionNames(permissions), ",")
}

// orNever formats a time in UTC, or returns "never" for a zero time.
func orNever(t time.Time, layout string) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(layout)
}

func keyStatus(k access.Key, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.Usable(now):
		return "expired"
	default:
		return "active"
	}
}

// keysRevokeCmd is "webhookctl keys revoke".
type keysRevokeCmd struct {
	KeyID string `arg:"" name:"key-id" help:"ID of the key, as \"keys list\" shows it: key_…, or - to read the key itself (whk_…) from stdin."`
}

// Help is the end of "webhookctl keys revoke --help".
func (*keysRevokeCmd) Help() string {
	return `Running services reject a revoked key within 60 seconds. A revocation cannot be undone.

If you have the key itself but not its ID, for example because the key has leaked, pass it on stdin: arguments are visible to other users of the machine. The key is not printed.

Examples:

    webhookctl keys revoke key_acme_01JZ0000000000000000000000
    webhookctl keys revoke - < leaked-key.txt`
}

// Run revokes the key.
func (cmd *keysRevokeCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	key := access.Key{ID: cmd.KeyID}
	company, isID := access.KeyCompany(cmd.KeyID)
	switch {
	case cmd.KeyID == stdio:
		var err error
		if key.Hash, err = readSecret(os.Stdin); err != nil {
			return err
		}
	case !isID:
		return errors.New("the argument is not a key ID: pass an ID that \"webhookctl keys list\" shows (key_…), or - and the key itself on stdin")
	}
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) (err error) {
		if !isID {
			key, err = s.KeyByHash(ctx, key.Hash)
		}
		if err == nil {
			err = s.RevokeKey(ctx, key.ID, c.timestamp())
		}
		switch notFound := webhook.KindOf(err) == webhook.KindNotFound; {
		case notFound && isID:
			owner := "--platform"
			if company != "" {
				owner = "--company " + company
			}
			return fmt.Errorf("key %s not found in %s: run \"webhookctl keys list %s\" to list the keys", key.ID, s.place, owner)
		case notFound:
			return fmt.Errorf("the key on stdin is not in %s: check that this is the store of the service that accepts it", s.place)
		case err != nil:
			return storeError(err)
		}
		_, err = fmt.Fprintf(c.out, "Revoked key %s. Running services reject it within %.0f seconds.\n", key.ID, access.CacheTTL.Seconds())
		return err
	})
}

// maxStdin limits what is read from stdin for an API key, in bytes.
const maxStdin = 1024

// readSecret reads an API key, with white space around it or not, and returns its hash.
func readSecret(in io.Reader) (access.Hash, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxStdin))
	if err != nil {
		return access.Hash{}, fmt.Errorf("reading the API key from stdin: %w", err)
	}
	hash, err := access.HashSecret(strings.TrimSpace(string(text)))
	if err != nil {
		return access.Hash{}, fmt.Errorf("stdin: %w", err)
	}
	return hash, nil
}
