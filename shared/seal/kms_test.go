package seal

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go"

	"webhooks/shared/webhook"
)

// fakeKMS is KMS and the store of the data keys, and records calls. The tests of infra/webhookctl and infra/gateway use moto.
type fakeKMS struct {
	mu     sync.Mutex
	calls  []string
	stored [][]byte
	fail   error         // of calls to KMS
	delay  time.Duration // of reads of the store
}

// process returns the data keys as a new process has them.
func (f *fakeKMS) process() *KMSKeys { return NewKMSKeys(f, f, "alias/tokens") }

func (f *fakeKMS) DataKeys(ctx context.Context) ([][]byte, error) {
	time.Sleep(f.delay)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, "read")
	return slices.Clone(f.stored), nil
}

func (f *fakeKMS) AddDataKey(_ context.Context, number int, encrypted []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number != len(f.stored) {
		return webhook.Errorf(webhook.KindConflict, "taken")
	}
	f.stored = append(f.stored, bytes.Clone(encrypted))
	return nil
}

func (f *fakeKMS) GenerateDataKey(_ context.Context, in *kms.GenerateDataKeyInput, _ ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error) {
	time.Sleep(time.Millisecond) // meanwhile, other processes read that there is no data key
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf("generate %v", in.EncryptionContext))
	secret := (rand.Text() + rand.Text())[:KeySize]
	return &kms.GenerateDataKeyOutput{Plaintext: []byte(secret), CiphertextBlob: []byte(*in.KeyId + secret)}, f.fail
}

func (f *fakeKMS) Decrypt(_ context.Context, in *kms.DecryptInput, _ ...func(*kms.Options)) (*kms.DecryptOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf("decrypt %v", in.EncryptionContext))
	secret, ok := bytes.CutPrefix(in.CiphertextBlob, []byte(*in.KeyId))
	if !ok {
		return nil, errors.New("invalid ciphertext")
	}
	return &kms.DecryptOutput{Plaintext: secret}, f.fail
}

func TestKMSCreatesOneDataKeyAndDecryptsItOncePerProcess(t *testing.T) {
	fake := new(fakeKMS)
	first, second := fake.process(), fake.process()
	sealed := sealWith(t, first)
	for range 3 {
		wantOpen(t, first, sealed)
		wantOpen(t, second, sealed)
		wantOpen(t, first, sealWith(t, second))
	}
	// The first process creates the key. The second reads it once to open a token, and once more to learn that it is the newest.
	const want = "read generate map[purpose:webhook-tokens] read decrypt map[purpose:webhook-tokens] read"
	if got := strings.Join(fake.calls, " "); got != want {
		t.Errorf("calls %s, want %s", got, want)
	}
}

func TestKMSCheckOpenOnlyReads(t *testing.T) {
	fake := new(fakeKMS)
	if err := (Sealer{Keys: fake.process()}).CheckOpen(t.Context()); err != nil {
		t.Errorf("without a data key: %v", err)
	}
	sealed, opener := sealWith(t, fake.process()), fake.process()
	if err := (Sealer{Keys: opener}).CheckOpen(t.Context()); err != nil {
		t.Error(err)
	}
	wantOpen(t, opener, sealed)
	const want = "read read generate map[purpose:webhook-tokens] read decrypt map[purpose:webhook-tokens]"
	if got := strings.Join(fake.calls, " "); got != want {
		t.Errorf("calls %s, want %s", got, want)
	}
	fake.fail = errors.New("denied")
	if err := (Sealer{Keys: fake.process()}).CheckOpen(t.Context()); err == nil {
		t.Error("no error although KMS decrypts nothing")
	}
}

func TestKMSRaceForTheFirstDataKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := new(fakeKMS)
		wantOneKey(t, func() (Key, error) { return fake.process().Current(t.Context()) })
		if len(fake.stored) != 1 {
			t.Errorf("%d data keys are stored, want 1", len(fake.stored))
		}
	})
}

// TestKMSRotation checks that a process seals with the newest key at its first use, and opens with all keys, even newer ones.
func TestKMSRotation(t *testing.T) {
	fake, other := new(fakeKMS), new(fakeKMS)
	older := fake.process()
	sealedOld := sealWith(t, older)
	sealWith(t, other.process())
	fake.stored = append(fake.stored, other.stored...)
	sealedNew := sealWith(t, fake.process())
	wantOpen(t, other.process(), sealedNew) // it has only the newest key
	wantOpen(t, older, sealedNew)
	wantOpen(t, fake.process(), sealedOld)
}

// TestKMSLoadsOnce checks that concurrent callers share one load, even if the first one gives up, that a key that was loaded
// does not wait for others, and how long an ID that does not exist is remembered.
func TestKMSLoadsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := new(fakeKMS)
		first, err := fake.process().Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		process := fake.process()
		fake.calls, fake.delay = nil, time.Second
		hurried, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		go func() {
			if _, err := process.Key(hurried, first.ID()); webhook.KindOf(err) != webhook.KindUnavailable {
				t.Errorf("the caller that gave up: got error %v, want KindUnavailable", err)
			}
		}()
		synctest.Wait()
		wantOneKey(t, func() (Key, error) { return process.Key(t.Context(), first.ID()) })

		wantUnknown := func() {
			if _, err := process.Key(t.Context(), KeyID{1}); !errors.Is(err, ErrUnknownKey) {
				t.Errorf("an ID that does not exist: got error %v, want %v", err, ErrUnknownKey)
			}
		}
		go wantUnknown()
		synctest.Wait()
		start := time.Now()
		if _, err := process.Key(t.Context(), first.ID()); err != nil || time.Since(start) != 0 {
			t.Errorf("a loaded key during another load: got error %v after %v, want none and no wait", err, time.Since(start))
		}
		wantUnknown()
		wantUnknown()
		time.Sleep(unknownTTL)
		synctest.Wait()
		wantUnknown()
		const want = "read decrypt map[purpose:webhook-tokens] read read"
		if got := strings.Join(fake.calls, " "); got != want {
			t.Errorf("calls %s, want %s", got, want)
		}
	})
}

func TestKMSRejectsChangedDataKeys(t *testing.T) {
	fake := new(fakeKMS)
	sealWith(t, fake.process())
	good := fake.stored[0]
	for want, stored := range map[string][]byte{
		"the stored item was changed": append([]byte{good[0] ^ 1}, good[1:]...),
		"too short":                   good[:keyIDSize],
		"must be 32 bytes, not 31":    good[:len(good)-1],
	} {
		fake.stored = [][]byte{stored}
		if _, err := fake.process().Current(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if _, err := fake.process().Key(t.Context(), KeyID{1}); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an ID that does not exist: %v, want %v", err, ErrUnknownKey)
	}
}

func TestKMSFailures(t *testing.T) {
	for fail, want := range map[error]webhook.Kind{
		&smithy.GenericAPIError{Code: "ThrottlingException", Fault: smithy.FaultClient}:   webhook.KindUnavailable,
		&smithy.GenericAPIError{Code: "KMSInternalException", Fault: smithy.FaultServer}:  webhook.KindUnavailable,
		errors.New("connection refused"):                                                  webhook.KindUnavailable,
		&smithy.GenericAPIError{Code: "AccessDeniedException", Fault: smithy.FaultClient}: webhook.KindInternal,
	} {
		fake := new(fakeKMS)
		for range 2 { // first KMS must generate the data key, then decrypt it
			process := fake.process()
			fake.fail = fail
			_, err := process.Current(t.Context())
			if webhook.KindOf(err) != want || !errors.Is(err, fail) {
				t.Errorf("error %v of kind %v, want %v of kind %v", err, webhook.KindOf(err), fail, want)
			}
			fake.fail = nil
			sealWith(t, process) // works again after the outage
		}
	}
}
