package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"

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

// KMSKeys is [Keys] in a store, encrypted with a KMS key (envelope encryption). The newest one seals;
// the first use creates one if there is none. A process decrypts each data key once, when it first
// needs it.
type KMSKeys struct {
	client   kmsClient
	store    DataKeyStore
	kmsKeyID string

	mu      sync.Mutex
	current KeyID
	open    map[KeyID]Key
}

// NewKMSKeys returns the data keys in store under a KMS key, named by its ID, ARN or alias.
func NewKMSKeys(client kmsClient, store DataKeyStore, kmsKeyID string) *KMSKeys {
	return &KMSKeys{client: client, store: store, kmsKeyID: kmsKeyID, open: make(map[KeyID]Key)}
}

// Current returns the newest data key, and creates the first one if there is none.
func (k *KMSKeys) Current(ctx context.Context) (Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.open[k.current]; ok {
		return key, nil
	}
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
	k.current = key.id
	return key, nil
}

// Key returns the data key with the given ID, or [ErrUnknownKey].
func (k *KMSKeys) Key(ctx context.Context, id KeyID) (Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.open[id]; ok {
		return key, nil
	}
	stored, err := k.store.DataKeys(ctx)
	if err != nil {
		return Key{}, err
	}
	for _, encrypted := range stored {
		if bytes.HasPrefix(encrypted, id[:]) {
			return k.decrypt(ctx, encrypted)
		}
	}
	return Key{}, fmt.Errorf("token key %s: %w", id, ErrUnknownKey)
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
		k.open[key.id] = key
	}
	return [][]byte{encrypted}, err
}

// decrypt decrypts a stored data key: the key's ID, followed by the ciphertext from KMS.
func (k *KMSKeys) decrypt(ctx context.Context, encrypted []byte) (Key, error) {
	if len(encrypted) <= keyIDSize {
		return Key{}, errors.New("a stored data key is too short")
	}
	id := KeyID(encrypted[:keyIDSize])
	if key, ok := k.open[id]; ok {
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
	k.open[id] = key
	return key, nil
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
