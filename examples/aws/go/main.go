// Makes every call of AWS KMS that hmacd has, by the AWS SDK for Go v2, and gets every typed exception of GenerateMac
// and VerifyMac. Credentials and Region come from the environment, as the SDK finds them.
//
//	go run . ENDPOINT
package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go/middleware"
)

const (
	algorithm = types.MacAlgorithmSpecHmacSha256
	pageSize  = 2
)

func main() {
	log.SetFlags(log.Lshortfile)
	if len(os.Args) != 2 {
		log.Fatal("usage: go run . ENDPOINT")
	}
	ctx := context.Background()
	answered := map[string]bool{}
	client := kms.NewFromConfig(must(config.LoadDefaultConfig(ctx)), func(o *kms.Options) {
		o.BaseEndpoint = aws.String(os.Args[1])
		o.APIOptions = append(o.APIOptions, notes(answered))
	})

	key := must(client.CreateKey(ctx, &kms.CreateKeyInput{
		KeySpec:     types.KeySpecHmac256,
		KeyUsage:    types.KeyUsageTypeGenerateVerifyMac,
		Description: aws.String("Go"),
	})).KeyMetadata
	id, message := key.KeyId, []byte("message")
	// Names of this run alone, so that it can be repeated.
	alias := aws.String("alias/go/" + *id)
	role := aws.String("arn:aws:iam::" + *key.AWSAccountId + ":role/" + *id)

	must(client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: alias, TargetKeyId: id}))
	tag := must(client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: alias, Message: message, MacAlgorithm: algorithm,
	})).Mac
	equal(len(tag), 32)
	verified := must(client.VerifyMac(ctx, &kms.VerifyMacInput{
		KeyId: id, Message: message, MacAlgorithm: algorithm, Mac: tag,
	}))
	equal(verified.MacValid, true)
	equal(*verified.KeyId, *key.Arn)
	described := must(client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: alias})).KeyMetadata
	equal(*described.Description, "Go")
	equal(described.CreationDate.Equal(*key.CreationDate), true)
	must(client.UpdateKeyDescription(ctx, &kms.UpdateKeyDescriptionInput{KeyId: id, Description: aws.String("another")}))
	must(client.UpdateAlias(ctx, &kms.UpdateAliasInput{AliasName: alias, TargetKeyId: id}))

	policy := must(client.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: id})).Policy
	var document struct{ Id string }
	if err := json.Unmarshal([]byte(*policy), &document); err != nil {
		log.Fatal(err)
	}
	equal(document.Id, "key-default-1")
	must(client.PutKeyPolicy(ctx, &kms.PutKeyPolicyInput{KeyId: id, Policy: policy}))

	must(client.TagResource(ctx, &kms.TagResourceInput{KeyId: id, Tags: []types.Tag{
		{TagKey: aws.String("a"), TagValue: aws.String("")},
		{TagKey: aws.String("b"), TagValue: aws.String("x")},
		{TagKey: aws.String("c"), TagValue: aws.String("x")},
		{TagKey: aws.String("d"), TagValue: aws.String("x")},
	}}))
	must(client.UntagResource(ctx, &kms.UntagResourceInput{KeyId: id, TagKeys: []string{"a"}}))
	equal(*must(client.ListResourceTags(ctx, &kms.ListResourceTagsInput{KeyId: id})).Tags[0].TagKey, "b")

	// HMAC keys do not rotate.
	must(client.DisableKeyRotation(ctx, &kms.DisableKeyRotationInput{KeyId: id}))
	equal(must(client.GetKeyRotationStatus(ctx, &kms.GetKeyRotationStatusInput{KeyId: id})).KeyRotationEnabled, false)
	equal(len(must(client.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: id})).Rotations), 0)
	fails[*types.UnsupportedOperationException](client.EnableKeyRotation(ctx, &kms.EnableKeyRotationInput{KeyId: id}))
	fails[*types.UnsupportedOperationException](client.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: id}))

	usage := must(client.GetKeyLastUsage(ctx, &kms.GetKeyLastUsageInput{KeyId: id})).KeyLastUsage
	equal(usage.Operation, types.KeyLastUsageTrackingOperationVerifyMac)

	external := must(client.CreateKey(ctx, &kms.CreateKeyInput{
		KeySpec:  types.KeySpecHmac256,
		KeyUsage: types.KeyUsageTypeGenerateVerifyMac,
		Origin:   types.OriginTypeExternal,
	})).KeyMetadata
	parameters := must(client.GetParametersForImport(ctx, &kms.GetParametersForImportInput{
		KeyId:             external.KeyId,
		WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256,
		WrappingKeySpec:   types.WrappingKeySpecRsa2048,
	}))
	wrapper := must(x509.ParsePKIXPublicKey(parameters.PublicKey)).(*rsa.PublicKey)
	material := bytes.Repeat([]byte("m"), 32)
	must(client.ImportKeyMaterial(ctx, &kms.ImportKeyMaterialInput{
		KeyId:                external.KeyId,
		ImportToken:          parameters.ImportToken,
		EncryptedKeyMaterial: must(rsa.EncryptOAEP(sha256.New(), rand.Reader, wrapper, material, nil)),
		ExpirationModel:      types.ExpirationModelTypeKeyMaterialDoesNotExpire,
	}))
	mac := hmac.New(sha256.New, material)
	mac.Write(message)
	byImported := must(client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: external.KeyId, Message: message, MacAlgorithm: algorithm,
	}))
	equal(string(byImported.Mac), string(mac.Sum(nil)))
	must(client.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: external.KeyId}))
	fails[*types.KMSInvalidStateException](client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: external.KeyId, Message: message, MacAlgorithm: algorithm,
	}))

	grant := must(client.CreateGrant(ctx, &kms.CreateGrantInput{
		KeyId:             id,
		GranteePrincipal:  role,
		RetiringPrincipal: role,
		Operations:        []types.GrantOperation{types.GrantOperationGenerateMac},
		Name:              aws.String("n"),
	}))
	grants := must(client.ListGrants(ctx, &kms.ListGrantsInput{KeyId: id})).Grants
	equal(len(grants), 1)
	equal(*grants[0].GrantId, *grant.GrantId)
	retirable := must(client.ListRetirableGrants(ctx, &kms.ListRetirableGrantsInput{RetiringPrincipal: role})).Grants
	equal(len(retirable), 1)
	equal(*retirable[0].Name, "n")
	must(client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: id, Message: message, MacAlgorithm: algorithm, GrantTokens: []string{*grant.GrantToken},
	}))
	must(client.RetireGrant(ctx, &kms.RetireGrantInput{GrantToken: grant.GrantToken}))
	grant = must(client.CreateGrant(ctx, &kms.CreateGrantInput{
		KeyId:            id,
		GranteePrincipal: role,
		Operations:       []types.GrantOperation{types.GrantOperationVerifyMac},
	}))
	must(client.RevokeGrant(ctx, &kms.RevokeGrantInput{KeyId: id, GrantId: grant.GrantId}))
	equal(len(must(client.ListGrants(ctx, &kms.ListGrantsInput{KeyId: id})).Grants), 0)

	// KMSInternalException and KeyUnavailableException are missing: they need a broken store.
	fails[*types.DryRunOperationException](client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: id, Message: message, MacAlgorithm: algorithm, DryRun: aws.Bool(true),
	}))
	fails[*types.InvalidGrantTokenException](client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: id, Message: message, MacAlgorithm: algorithm, GrantTokens: []string{"x"},
	}))
	fails[*types.InvalidKeyUsageException](client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: id, Message: message, MacAlgorithm: types.MacAlgorithmSpecHmacSha512,
	}))
	fails[*types.NotFoundException](client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: aws.String("alias/none"), Message: message, MacAlgorithm: algorithm,
	}))
	fails[*types.KMSInvalidMacException](client.VerifyMac(ctx, &kms.VerifyMacInput{
		KeyId: id, Message: message, MacAlgorithm: algorithm, Mac: []byte("x"),
	}))
	must(client.DisableKey(ctx, &kms.DisableKeyInput{KeyId: id}))
	fails[*types.DisabledException](client.VerifyMac(ctx, &kms.VerifyMacInput{
		KeyId: id, Message: message, MacAlgorithm: algorithm, Mac: tag,
	}))
	must(client.EnableKey(ctx, &kms.EnableKeyInput{KeyId: id}))
	must(client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)}))
	fails[*types.KMSInvalidStateException](client.GenerateMac(ctx, &kms.GenerateMacInput{
		KeyId: id, Message: message, MacAlgorithm: algorithm,
	}))
	equal(*must(client.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: id})).KeyId, *key.Arn)
	must(client.EnableKey(ctx, &kms.EnableKeyInput{KeyId: id}))

	// More than fits a page, of everything of which there can be more than one.
	keys := []*string{id, external.KeyId}
	for n := range 4 {
		made := must(client.CreateKey(ctx, &kms.CreateKeyInput{
			KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac,
		}))
		keys = append(keys, made.KeyMetadata.KeyId)
		must(client.CreateAlias(ctx, &kms.CreateAliasInput{
			AliasName: aws.String(fmt.Sprintf("%s/%d", *alias, n)), TargetKeyId: id,
		}))
		must(client.CreateGrant(ctx, &kms.CreateGrantInput{
			KeyId:             id,
			GranteePrincipal:  role,
			RetiringPrincipal: role,
			Operations:        []types.GrantOperation{types.GrantOperationGenerateMac},
		}))
	}
	limit := aws.Int32(pageSize)
	found := all(ctx, kms.NewListKeysPaginator(client, &kms.ListKeysInput{Limit: limit}),
		func(page *kms.ListKeysOutput) []types.KeyListEntry { return page.Keys },
		func(entry types.KeyListEntry) string { return *entry.KeyId })
	for _, made := range keys {
		equal(found[*made], true)
	}
	equal(len(all(ctx, kms.NewListAliasesPaginator(client, &kms.ListAliasesInput{KeyId: id, Limit: limit}),
		func(page *kms.ListAliasesOutput) []types.AliasListEntry { return page.Aliases },
		func(entry types.AliasListEntry) string { return *entry.AliasName })), 5)
	equal(len(all(ctx, kms.NewListGrantsPaginator(client, &kms.ListGrantsInput{KeyId: id, Limit: limit}),
		func(page *kms.ListGrantsOutput) []types.GrantListEntry { return page.Grants },
		func(entry types.GrantListEntry) string { return *entry.GrantId })), 4)
	retiring := &kms.ListRetirableGrantsInput{RetiringPrincipal: role, Limit: limit}
	equal(len(all(ctx, kms.NewListRetirableGrantsPaginator(client, retiring),
		func(page *kms.ListRetirableGrantsOutput) []types.GrantListEntry { return page.Grants },
		func(entry types.GrantListEntry) string { return *entry.GrantId })), 4)
	equal(len(all(ctx, kms.NewListResourceTagsPaginator(client, &kms.ListResourceTagsInput{KeyId: id, Limit: limit}),
		func(page *kms.ListResourceTagsOutput) []types.Tag { return page.Tags },
		func(tag types.Tag) string { return *tag.TagKey })), 3)
	policies := all(ctx, kms.NewListKeyPoliciesPaginator(client, &kms.ListKeyPoliciesInput{KeyId: id, Limit: limit}),
		func(page *kms.ListKeyPoliciesOutput) []string { return page.PolicyNames },
		func(name string) string { return name })
	equal(len(policies), 1)
	equal(policies["default"], true)

	must(client.DeleteAlias(ctx, &kms.DeleteAliasInput{AliasName: alias}))
	equal(len(must(client.ListAliases(ctx, &kms.ListAliasesInput{KeyId: id})).Aliases), 4)
	// The other aliases and the grants go with the keys.
	for _, made := range keys {
		must(client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: made, PendingWindowInDays: aws.Int32(7)}))
	}

	equal(len(answered), 32)
	fmt.Println(len(answered), "operations")
}

// notes has the client note the operations that have succeeded.
func notes(answered map[string]bool) func(*middleware.Stack) error {
	note := func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
		out middleware.InitializeOutput, metadata middleware.Metadata, err error,
	) {
		if out, metadata, err = next.HandleInitialize(ctx, in); err == nil {
			answered[middleware.GetOperationName(ctx)] = true
		}
		return out, metadata, err
	}
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Note", note), middleware.After)
	}
}

// paginator is what the paginators of the SDK have in common.
type paginator[Page any] interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*kms.Options)) (*Page, error)
}

// all is the set of the names of all items on all pages.
func all[Page, Item any](
	ctx context.Context, pages paginator[Page], items func(*Page) []Item, name func(Item) string,
) map[string]bool {
	names := map[string]bool{}
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			fail("%v", err)
		}
		if len(items(page)) > pageSize {
			fail("a page of %d", len(items(page)))
		}
		for _, item := range items(page) {
			if names[name(item)] {
				fail("%s is on two pages", name(item))
			}
			names[name(item)] = true
		}
	}
	return names
}

func must[T any](answer T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return answer
}

func fails[E error](_ any, err error) {
	if _, ok := errors.AsType[E](err); !ok {
		fail("%v expected, not: %v", reflect.TypeFor[E](), err)
	}
}

func equal[T comparable](got, want T) {
	if got != want {
		fail("%v expected, not: %v", want, got)
	}
}

// fail ends the program, with the line of main that was wrong.
func fail(format string, args ...any) {
	const above = 3 // this function, and the one that called it
	log.Output(above, fmt.Sprintf(format, args...))
	os.Exit(1)
}
