package seal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
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

// dataKeys is a DataKeyStore in memory; the real ones have their own suites.
type dataKeys struct {
	mu    sync.Mutex
	keys  [][]byte
	reads atomic.Int32
}

func (d *dataKeys) DataKeys(context.Context) ([][]byte, error) {
	d.reads.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.keys), nil
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

// countingKMS is the real client, with its calls counted. If fail is set, it generates no key.
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
	return c.Client.Decrypt(ctx, in, opts...)
}

// newKMS returns a client for the KMS at WEBHOOKS_TEST_MOTO_ENDPOINT (moto server) and a new KMS key.
func newKMS(t *testing.T) (*countingKMS, string) {
	t.Helper()
	endpoint := os.Getenv("WEBHOOKS_TEST_MOTO_ENDPOINT")
	if endpoint == "" {
		missing := t.Skip
		if os.Getenv("CI") != "" {
			missing = t.Fatal
		}
		missing("WEBHOOKS_TEST_MOTO_ENDPOINT is not set: run `make test`, which starts moto server")
	}
	client := kms.New(kms.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	created, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return &countingKMS{Client: client}, aws.ToString(created.KeyMetadata.KeyId)
}

func TestKMSCreatesOneDataKeyAndDecryptsItOncePerProcess(t *testing.T) {
	client, keyID := newKMS(t)
	store := new(dataKeys)
	first, second := NewKMSKeys(client, store, keyID), NewKMSKeys(client, store, keyID)
	sealed := sealWith(t, first)
	for range 3 {
		wantOpen(t, first, sealed)
		wantOpen(t, second, sealed)
		sealWith(t, second)
	}
	// The first process has the key that it created in clear; the second decrypts it once.
	if generated, decrypted := client.generated.Load(), client.decrypted.Load(); generated != 1 || decrypted != 1 {
		t.Errorf("%d data keys were created and %d decrypted, want 1 of each", generated, decrypted)
	}
	if got := store.reads.Load(); got != 3 || len(store.keys) != 1 {
		t.Errorf("%d reads of %d stored keys, want 3 reads of 1: to create it, to open and to seal", got, len(store.keys))
	}
}

func TestKMSRaceForTheFirstDataKey(t *testing.T) {
	client, keyID := newKMS(t)
	store := new(dataKeys)
	var ids sync.Map
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			key, err := NewKMSKeys(client, store, keyID).Current(t.Context())
			if first, _ := ids.LoadOrStore("first", key.ID()); first != key.ID() || err != nil {
				t.Errorf("two processes seal with different first keys: %s and %s, error %v", key.ID(), first, err)
			}
		})
	}
	all.Wait()
}

// A process seals with the newest key that it found when it started, and opens with all, including
// those that are newer.
func TestKMSRotation(t *testing.T) {
	client, keyID := newKMS(t)
	store := new(dataKeys)
	older := NewKMSKeys(client, store, keyID)
	sealedOld := sealWith(t, older)

	other := new(dataKeys)
	rotated, err := NewKMSKeys(client, other, keyID).Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.AddDataKey(t.Context(), 1, other.keys[0]); err != nil {
		t.Fatal(err)
	}
	newer := NewKMSKeys(client, store, keyID)
	if current, err := newer.Current(t.Context()); err != nil || current.ID() != rotated.ID() {
		t.Errorf("current is %s, error %v; want the newest %s", current.ID(), err, rotated.ID())
	}
	wantOpen(t, newer, sealedOld)
	wantOpen(t, older, sealWith(t, newer))
}

func TestKMSRejectsChangedDataKeys(t *testing.T) {
	client, keyID := newKMS(t)
	store := new(dataKeys)
	sealWith(t, NewKMSKeys(client, store, keyID))
	good := store.keys[0]
	renamed := bytes.Clone(good)
	renamed[0] ^= 1
	for name, test := range map[string]struct {
		stored []byte
		want   string
	}{
		"another key's ID":       {renamed, "the stored item was changed"},
		"too short":              {good[:keyIDSize], "too short"},
		"not what KMS encrypted": {append(bytes.Clone(good[:keyIDSize]), good[keyIDSize+1:]...), "decrypting a data key with KMS"},
	} {
		keys := NewKMSKeys(client, &dataKeys{keys: [][]byte{test.stored}}, keyID)
		if _, err := keys.Current(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
	if _, err := NewKMSKeys(client, store, keyID).Key(t.Context(), KeyID{1}); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an ID that does not exist: %v, want %v", err, ErrUnknownKey)
	}
}

func TestKMSFailures(t *testing.T) {
	for name, test := range map[string]struct {
		fail error
		want webhook.Kind
	}{
		"throttled":     {&smithy.GenericAPIError{Code: "ThrottlingException", Fault: smithy.FaultClient}, webhook.KindUnavailable},
		"KMS is broken": {&smithy.GenericAPIError{Code: "KMSInternalException", Fault: smithy.FaultServer}, webhook.KindUnavailable},
		"no network":    {errors.New("connection refused"), webhook.KindUnavailable},
		"no permission": {&smithy.GenericAPIError{Code: "AccessDeniedException", Fault: smithy.FaultClient}, webhook.KindInternal},
	} {
		_, err := NewKMSKeys(&countingKMS{fail: test.fail}, new(dataKeys), "key").Current(t.Context())
		if webhook.KindOf(err) != test.want || !errors.Is(err, test.fail) {
			t.Errorf("%s: error %v of kind %v, want kind %v", name, err, webhook.KindOf(err), test.want)
		}
	}
}
