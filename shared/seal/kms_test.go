package seal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"webhooks/shared/webhook"
)

// dataKeys is a DataKeyStore in memory; the real ones have suites of their own.
type dataKeys struct {
	mu    sync.Mutex
	keys  [][]byte
	reads atomic.Int32
}

func (d *dataKeys) DataKeys(context.Context) ([][]byte, error) {
	d.reads.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([][]byte(nil), d.keys...), nil
}

func (d *dataKeys) AddDataKey(_ context.Context, number int, encrypted []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if number != len(d.keys) {
		return webhook.Errorf(webhook.KindConflict, "taken")
	}
	d.keys = append(d.keys, bytes.Clone(encrypted))
	return nil
}

// countingKMS is the real client with its calls counted, or an error in place of every answer.
type countingKMS struct {
	*kms.Client
	generated, decrypted atomic.Int32
	fail                 error
}

func (c *countingKMS) GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, opts ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	c.generated.Add(1)
	if c.fail != nil {
		return nil, c.fail
	}
	return c.Client.GenerateDataKey(ctx, in, opts...)
}

func (c *countingKMS) Decrypt(ctx context.Context, in *kms.DecryptInput, opts ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	c.decrypted.Add(1)
	if c.fail != nil {
		return nil, c.fail
	}
	return c.Client.Decrypt(ctx, in, opts...)
}

// newKMS gives a client of the KMS at WEBHOOKS_TEST_MOTO_ENDPOINT (moto server) and a new KMS key.
func newKMS(t *testing.T) (*countingKMS, string) {
	t.Helper()
	endpoint := os.Getenv("WEBHOOKS_TEST_MOTO_ENDPOINT")
	if endpoint == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("WEBHOOKS_TEST_MOTO_ENDPOINT is not set: `make test` starts moto server and sets it")
		}
		t.Skip("WEBHOOKS_TEST_MOTO_ENDPOINT is not set: `make test` starts moto server and sets it")
	}
	client := kms.New(kms.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	made, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return &countingKMS{Client: client}, aws.ToString(made.KeyMetadata.KeyId)
}

func TestKMSMakesOneDataKeyAndOpensItOncePerProcess(t *testing.T) {
	client, keyID := newKMS(t)
	store := new(dataKeys)
	var sealed []byte
	for process := range 2 {
		sealer := Sealer{Keys: NewKMSKeys(client, store, keyID), Random: rand.Reader}
		for range 3 {
			var err error
			if process == 0 {
				if sealed, err = sealer.Seal(t.Context(), company, id, token); err != nil {
					t.Fatal(err)
				}
			}
			got, err := sealer.Open(t.Context(), company, id, sealed)
			if err != nil || got != token {
				t.Fatalf("opened %q, error %v", got, err)
			}
		}
	}
	if got := client.generated.Load(); got != 1 {
		t.Errorf("%d data keys were made, want 1", got)
	}
	if got := client.decrypted.Load(); got != 1 {
		t.Errorf("%d decryptions, want 1: the first process has its key in clear, the second opens it once", got)
	}
	if got := store.reads.Load(); got != 2 {
		t.Errorf("%d reads of the store, want one a process", got)
	}
	if len(store.keys) != 1 || bytes.Contains(sealed, []byte(token)) {
		t.Errorf("%d keys stored; want 1 and no token in clear", len(store.keys))
	}
}

func TestKMSRaceForTheFirstDataKey(t *testing.T) {
	client, keyID := newKMS(t)
	store := new(dataKeys)
	ids := make([]KeyID, 8)
	errs := make([]error, len(ids))
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			key, err := NewKMSKeys(client, store, keyID).Current(context.Background())
			ids[i], errs[i] = key.ID(), err
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, got := range ids {
		if got != ids[0] {
			t.Fatal("two processes seal with different first keys")
		}
	}
}

func TestKMSSealsWithTheNewestKeyAndOpensWithAll(t *testing.T) {
	client, keyID := newKMS(t)
	store := new(dataKeys)
	first := NewKMSKeys(client, store, keyID)
	sealed, err := Sealer{Keys: first, Random: rand.Reader}.Seal(t.Context(), company, id, token)
	if err != nil {
		t.Fatal(err)
	}
	second, err := client.Client.GenerateDataKey(t.Context(), &kms.GenerateDataKeyInput{
		KeyId: &keyID, KeySpec: "AES_256", EncryptionContext: encryptionContext(),
	})
	if err != nil {
		t.Fatal(err)
	}
	newest, err := NewKey(second.Plaintext)
	if err != nil {
		t.Fatal(err)
	}
	newestID := newest.ID()
	if err := store.AddDataKey(t.Context(), 1, append(newestID[:], second.CiphertextBlob...)); err != nil {
		t.Fatal(err)
	}
	next := NewKMSKeys(client, store, keyID)
	if current, err := next.Current(t.Context()); err != nil || current.ID() != newestID {
		t.Errorf("current is %s, error %v; want the newest %s", current.ID(), err, newestID)
	}
	if got, err := (Sealer{Keys: next}).Open(t.Context(), company, id, sealed); err != nil || got != token {
		t.Errorf("what the first key sealed: %q, error %v", got, err)
	}
	// A process that is older than a key finds it when it meets it.
	fresh, err := Sealer{Keys: next, Random: rand.Reader}.Seal(t.Context(), company, id, token)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (Sealer{Keys: first}).Open(t.Context(), company, id, fresh); err != nil || got != token {
		t.Errorf("what a newer process sealed: %q, error %v", got, err)
	}
}

func TestKMSRefusesChangedDataKeys(t *testing.T) {
	client, keyID := newKMS(t)
	store := new(dataKeys)
	key, err := NewKMSKeys(client, store, keyID).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keyid := key.ID()
	good := store.keys[0]
	renamed := bytes.Clone(good)
	renamed[0] ^= 1
	tests := []struct {
		name   string
		stored []byte
		want   string
	}{
		{"another key's id", renamed, "the stored item was changed"},
		{"too short", keyid[:], "too short"},
		{"not what KMS encrypted", append(bytes.Clone(keyid[:]), good[9:]...), "decrypting a data key with KMS"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			keys := NewKMSKeys(client, &dataKeys{keys: [][]byte{test.stored}}, keyID)
			if _, err := keys.Current(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	if _, err := NewKMSKeys(client, store, keyID).Key(t.Context(), KeyID{1}); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an id that no key has: %v, want %v", err, ErrUnknownKey)
	}
}

func TestKMSFailuresAreTold(t *testing.T) {
	tests := []struct {
		name string
		fail error
		want webhook.Kind
	}{
		{"throttled", &smithy.GenericAPIError{Code: "ThrottlingException", Fault: smithy.FaultClient}, webhook.KindUnavailable},
		{"KMS is broken", &smithy.GenericAPIError{Code: "KMSInternalException", Fault: smithy.FaultServer}, webhook.KindUnavailable},
		{"no network", errors.New("connection refused"), webhook.KindUnavailable},
		{"no permission", &smithy.GenericAPIError{Code: "AccessDeniedException", Fault: smithy.FaultClient}, webhook.KindInternal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			client := &countingKMS{fail: test.fail}
			_, err := NewKMSKeys(client, new(dataKeys), "key").Current(t.Context())
			if webhook.KindOf(err) != test.want || !errors.Is(err, test.fail) {
				t.Errorf("error %v of kind %v, want kind %v", err, webhook.KindOf(err), test.want)
			}
		})
	}
}
