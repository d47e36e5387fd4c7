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

// DataKeyStore keeps data keys in the encrypted form that [KMSKeys] gives it. Its errors and its
// consistency are those of webhook.Store.
type DataKeyStore interface {
	// DataKeys gives all of them by their number: 0, 1, 2, …
	DataKeys(ctx context.Context) ([][]byte, error)
	// AddDataKey stores one under a number, or answers webhook.KindConflict when it is taken.
	AddDataKey(ctx context.Context, number int, encrypted []byte) error
}

// KMSKeys is [Keys] whose data keys are encrypted under a KMS key (envelope encryption) and kept
// in a store. The newest one seals; without any, the first use makes one. Each is decrypted once
// in the life of the process, when it is first needed.
type KMSKeys struct {
	client   kmsClient
	store    DataKeyStore
	kmsKeyID string

	mu      sync.Mutex
	current KeyID
	open    map[KeyID]Key
}

// NewKMSKeys makes KMSKeys on a KMS key, given by its id, ARN or alias.
func NewKMSKeys(client kmsClient, store DataKeyStore, kmsKeyID string) *KMSKeys {
	return &KMSKeys{client: client, store: store, kmsKeyID: kmsKeyID, open: make(map[KeyID]Key)}
}

// Current gives the newest data key, and makes the first one where there is none.
func (k *KMSKeys) Current(ctx context.Context) (Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key, ok := k.open[k.current]; ok {
		return key, nil
	}
	stored, err := k.store.DataKeys(ctx)
	if err != nil {
		return Key{}, err
	}
	if len(stored) == 0 {
		if stored, err = k.makeFirst(ctx); err != nil {
			return Key{}, err
		}
	}
	key, err := k.decrypt(ctx, stored[len(stored)-1])
	if err != nil {
		return Key{}, err
	}
	k.current = key.id
	return key, nil
}

// Key gives the data key of an id, or [ErrUnknownKey].
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

// makeFirst makes data key number 0. When another process was faster, its key is the one.
func (k *KMSKeys) makeFirst(ctx context.Context) ([][]byte, error) {
	made, err := k.client.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{
		KeyId: &k.kmsKeyID, KeySpec: types.DataKeySpecAes256, EncryptionContext: encryptionContext(),
	})
	if err != nil {
		return nil, kmsError("making a data key", err)
	}
	key, err := NewKey(made.Plaintext)
	if err != nil {
		return nil, err
	}
	encrypted := append(key.id[:], made.CiphertextBlob...)
	switch err := k.store.AddDataKey(ctx, 0, encrypted); {
	case webhook.KindOf(err) == webhook.KindConflict:
		return k.store.DataKeys(ctx)
	case err != nil:
		return nil, err
	}
	k.open[key.id] = key
	return [][]byte{encrypted}, nil
}

// decrypt opens a stored data key: the id, then what KMS encrypted.
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

// encryptionContext is bound to every data key by KMS, and is what a key policy can ask for.
func encryptionContext() map[string]string {
	return map[string]string{"purpose": "webhook-tokens"}
}

// kmsError tells what passes (throttling, KMS or the network away) from what stays (no permission,
// no such key).
func kmsError(doing string, err error) error {
	err = fmt.Errorf("%s with KMS: %w", doing, err)
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok || api.ErrorFault() == smithy.FaultServer || api.ErrorCode() == "ThrottlingException" {
		return webhook.Unavailable(err)
	}
	return err
}
