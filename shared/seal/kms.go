package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/singleflight"

	"webhooks/shared/webhook"
)

type kmsClient interface {
	GenerateDataKey(ctx context.Context, in *kms.GenerateDataKeyInput, opts ...func(*kms.Options)) (*kms.GenerateDataKeyOutput, error)
	Decrypt(ctx context.Context, in *kms.DecryptInput, opts ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

// DataKeyStore stores the encrypted data keys of [KMSKeys]. It has the errors and the consistency of
// webhook.Store.
type DataKeyStore interface {
	// DataKeys returns all data keys in the order of their numbers: 0, 1, 2, …
	DataKeys(ctx context.Context) ([][]byte, error)
	// AddDataKey stores a data key under a number, or returns webhook.KindConflict if it is taken.
	AddDataKey(ctx context.Context, number int, encrypted []byte) error
}

const (
	// loadTimeout limits a load, which continues when its callers give up.
	loadTimeout = 10 * time.Second
	// unknownTTL is how long an ID that does not exist is remembered.
	unknownTTL = 5 * time.Second
	// maxUnknown limits the IDs that are remembered.
	maxUnknown = 1000
)

// KMSKeys is [Keys] in a store, encrypted with a KMS key (envelope encryption). The newest one seals;
// the first use creates one if there is none. A process decrypts a data key when it first needs it, and
// keeps it: from then on, nobody waits for it. Callers that need the same key at the same time share one
// load. Errors are not remembered, except, for a few seconds, that an ID does not exist.
type KMSKeys struct {
	client   kmsClient
	store    DataKeyStore
	kmsKeyID string
	loads    singleflight.Group
	current  atomic.Pointer[Key]

	mu      sync.Mutex // not held during calls to the store or KMS
	open    map[KeyID]Key
	unknown map[KeyID]bool
}

// NewKMSKeys returns the data keys in store under a KMS key, named by its ID, ARN or alias.
func NewKMSKeys(client kmsClient, store DataKeyStore, kmsKeyID string) *KMSKeys {
	return &KMSKeys{client: client, store: store, kmsKeyID: kmsKeyID, open: make(map[KeyID]Key), unknown: make(map[KeyID]bool)}
}

// Current returns the newest data key, and creates the first one if there is none.
func (k *KMSKeys) Current(ctx context.Context) (Key, error) {
	if key := k.current.Load(); key != nil {
		return *key, nil
	}
	return k.share(ctx, "current", k.loadCurrent)
}

// Key returns the data key with the given ID, or [ErrUnknownKey].
func (k *KMSKeys) Key(ctx context.Context, id KeyID) (Key, error) {
	key, found, unknown := k.cached(id)
	switch {
	case found:
		return key, nil
	case unknown:
		return Key{}, unknownKey(id)
	}
	return k.share(ctx, id.String(), func(ctx context.Context) (Key, error) { return k.load(ctx, id) })
}

// cached returns a key that was decrypted before, or reports that its ID is known not to exist.
func (k *KMSKeys) cached(id KeyID) (key Key, found, unknown bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, found = k.open[id]
	return key, found, k.unknown[id]
}

// share calls load, or waits for a call with the same name. The load continues when a caller gives up,
// because others may wait for it. Later callers start another one: the host of a Lambda function may
// have frozen this one.
func (k *KMSKeys) share(ctx context.Context, name string, load func(ctx context.Context) (Key, error)) (Key, error) {
	loaded := k.loads.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return load(ctx)
	})
	select {
	case result := <-loaded:
		key, _ := result.Val.(Key)
		return key, result.Err
	case <-ctx.Done():
		k.loads.Forget(name)
		return Key{}, webhook.Unavailable(fmt.Errorf("loading a data key: %w", ctx.Err()))
	}
}

func (k *KMSKeys) loadCurrent(ctx context.Context) (Key, error) {
	stored, err := k.store.DataKeys(ctx)
	if err == nil && len(stored) == 0 {
		stored, err = k.createFirst(ctx)
	}
	if err != nil {
		return Key{}, err
	}
	key, err := k.decrypt(ctx, stored[len(stored)-1])
	if err != nil {
		return Key{}, err
	}
	k.current.Store(&key)
	return key, nil
}

// preload decrypts the newest data key for later use, if there is one.
func (k *KMSKeys) preload(ctx context.Context) error {
	stored, err := k.store.DataKeys(ctx)
	if err != nil || len(stored) == 0 {
		return err
	}
	_, err = k.decrypt(ctx, stored[len(stored)-1])
	return err
}

func (k *KMSKeys) load(ctx context.Context, id KeyID) (Key, error) {
	stored, err := k.store.DataKeys(ctx)
	if err != nil {
		return Key{}, err
	}
	for _, encrypted := range stored {
		if bytes.HasPrefix(encrypted, id[:]) {
			return k.decrypt(ctx, encrypted)
		}
	}
	k.rememberUnknown(id)
	return Key{}, unknownKey(id)
}

// rememberUnknown remembers for a while that an ID does not exist. A new key may have it later.
func (k *KMSKeys) rememberUnknown(id KeyID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.unknown) >= maxUnknown {
		return
	}
	k.unknown[id] = true
	time.AfterFunc(unknownTTL, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.unknown, id)
	})
}

// createFirst creates data key number 0. If another process was faster, that process's key counts.
func (k *KMSKeys) createFirst(ctx context.Context) ([][]byte, error) {
	generated, err := k.client.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId: &k.kmsKeyID, KeySpec: types.DataKeySpecAes256, EncryptionContext: encryptionContext(),
	})
	if err != nil {
		return nil, kmsError("creating a data key", err)
	}
	key, err := NewKey(generated.Plaintext)
	if err != nil {
		return nil, err
	}
	encrypted := append(key.id[:], generated.CiphertextBlob...)
	err = k.store.AddDataKey(ctx, 0, encrypted)
	if webhook.KindOf(err) == webhook.KindConflict {
		return k.store.DataKeys(ctx)
	}
	if err == nil {
		k.keep(key)
	}
	return [][]byte{encrypted}, err
}

// decrypt decrypts a stored data key: the key's ID, followed by the ciphertext from KMS.
func (k *KMSKeys) decrypt(ctx context.Context, encrypted []byte) (Key, error) {
	if len(encrypted) <= keyIDSize {
		return Key{}, errors.New("a stored data key is too short")
	}
	id := KeyID(encrypted[:keyIDSize])
	if key, found, _ := k.cached(id); found {
		return key, nil
	}
	out, err := k.client.Decrypt(ctx, &kms.DecryptInput{
		KeyId: &k.kmsKeyID, CiphertextBlob: encrypted[keyIDSize:], EncryptionContext: encryptionContext(),
	})
	if err != nil {
		return Key{}, kmsError("decrypting a data key", err)
	}
	key, err := NewKey(out.Plaintext)
	if err != nil {
		return Key{}, err
	}
	if key.id != id {
		return Key{}, fmt.Errorf("data key %s decrypts to key %s: the stored item was changed", id, key.id)
	}
	k.keep(key)
	return key, nil
}

func (k *KMSKeys) keep(key Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open[key.id] = key
}

// encryptionContext is what KMS binds to every data key. A key policy can require it.
func encryptionContext() map[string]string {
	return map[string]string{"purpose": "webhook-tokens"}
}

// kmsError makes a temporary failure (throttling, KMS or the network down) unavailable. Others, such as
// a missing permission or an unknown key, are internal.
func kmsError(doing string, err error) error {
	err = fmt.Errorf("%s with KMS: %w", doing, err)
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorFault() == smithy.FaultServer || api.ErrorCode() == "ThrottlingException" {
		return webhook.Unavailable(err)
	}
	return err
}
