package example;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.crypto.Cipher;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.kms.model.AlgorithmSpec;
import software.amazon.awssdk.services.kms.model.AliasListEntry;
import software.amazon.awssdk.services.kms.model.CreateGrantResponse;
import software.amazon.awssdk.services.kms.model.DisabledException;
import software.amazon.awssdk.services.kms.model.DryRunOperationException;
import software.amazon.awssdk.services.kms.model.ExpirationModelType;
import software.amazon.awssdk.services.kms.model.GenerateMacRequest;
import software.amazon.awssdk.services.kms.model.GetParametersForImportResponse;
import software.amazon.awssdk.services.kms.model.GrantListEntry;
import software.amazon.awssdk.services.kms.model.GrantOperation;
import software.amazon.awssdk.services.kms.model.InvalidGrantTokenException;
import software.amazon.awssdk.services.kms.model.InvalidKeyUsageException;
import software.amazon.awssdk.services.kms.model.KeyLastUsageTrackingOperation;
import software.amazon.awssdk.services.kms.model.KeyListEntry;
import software.amazon.awssdk.services.kms.model.KeyMetadata;
import software.amazon.awssdk.services.kms.model.KeySpec;
import software.amazon.awssdk.services.kms.model.KeyUsageType;
import software.amazon.awssdk.services.kms.model.KmsException;
import software.amazon.awssdk.services.kms.model.KmsInvalidMacException;
import software.amazon.awssdk.services.kms.model.KmsInvalidStateException;
import software.amazon.awssdk.services.kms.model.MacAlgorithmSpec;
import software.amazon.awssdk.services.kms.model.NotFoundException;
import software.amazon.awssdk.services.kms.model.OriginType;
import software.amazon.awssdk.services.kms.model.Tag;
import software.amazon.awssdk.services.kms.model.UnsupportedOperationException;
import software.amazon.awssdk.services.kms.model.VerifyMacRequest;
import software.amazon.awssdk.services.kms.model.VerifyMacResponse;
import software.amazon.awssdk.services.kms.model.WrappingKeySpec;

/**
 * Makes every call of AWS KMS that hmacd has, by the AWS SDK for Java v2, and gets every typed exception of GenerateMac
 * and VerifyMac. The endpoint is the only argument; credentials and Region come from the environment, as the SDK finds
 * them.
 */
public final class EveryCall {
  /** Notes the operations that have succeeded. */
  private static final class Answered implements ExecutionInterceptor {
    final Set<String> operations = new HashSet<>();

    @Override
    public void afterExecution(Context.AfterExecution context, ExecutionAttributes attributes) {
      operations.add(attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME));
    }
  }

  public static void main(String[] args) {
    if (args.length != 1) throw new IllegalArgumentException("the only argument is the endpoint");
    Answered answered = new Answered();
    try (KmsClient kms =
        KmsClient.builder()
            .endpointOverride(URI.create(args[0]))
            .overrideConfiguration(c -> c.addExecutionInterceptor(answered))
            .build()) {
      everyCall(kms);
      equal(answered.operations.size(), 32);
      System.out.println(answered.operations.size() + " operations");
    } catch (RuntimeException | AssertionError error) {
      // Thrown out of main, some exceptions of the SDK are too late for exec:java, which has closed their class loader.
      error.printStackTrace();
      System.exit(1);
    }
  }

  /** Imports key material into a key of its own, and deletes it. */
  private static void importMaterial(KmsClient kms, GenerateMacRequest generate) {
    String id =
        kms.createKey(
                r -> r.keySpec(KeySpec.HMAC_256).keyUsage(KeyUsageType.GENERATE_VERIFY_MAC).origin(OriginType.EXTERNAL))
            .keyMetadata()
            .keyId();
    GetParametersForImportResponse parameters =
        kms.getParametersForImport(
            r ->
                r.keyId(id)
                    .wrappingAlgorithm(AlgorithmSpec.RSAES_OAEP_SHA_256)
                    .wrappingKeySpec(WrappingKeySpec.RSA_2048));
    byte[] material = "m".repeat(32).getBytes(StandardCharsets.UTF_8);
    kms.importKeyMaterial(
        r ->
            r.keyId(id)
                .importToken(parameters.importToken())
                .encryptedKeyMaterial(SdkBytes.fromByteArray(wrapped(material, parameters.publicKey().asByteArray())))
                .expirationModel(ExpirationModelType.KEY_MATERIAL_DOES_NOT_EXPIRE));
    GenerateMacRequest byImported = generate.copy(r -> r.keyId(id));
    equal(kms.generateMac(byImported).mac().asByteArray().length, 32);
    kms.deleteImportedKeyMaterial(r -> r.keyId(id));
    fails(KmsInvalidStateException.class, () -> kms.generateMac(byImported));
    kms.scheduleKeyDeletion(r -> r.keyId(id).pendingWindowInDays(7));
  }

  /** Material, wrapped by RSAES-OAEP with SHA-256 for both of its hashes. */
  private static byte[] wrapped(byte[] material, byte[] publicKey) {
    try {
      Cipher cipher = Cipher.getInstance("RSA/ECB/OAEPPadding");
      PublicKey key = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(publicKey));
      cipher.init(
          Cipher.ENCRYPT_MODE,
          key,
          new OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, PSource.PSpecified.DEFAULT));
      return cipher.doFinal(material);
    } catch (GeneralSecurityException error) {
      throw new IllegalStateException(error);
    }
  }

  private static void everyCall(KmsClient kms) {
    KeyMetadata key = createKey(kms);
    String id = key.keyId();
    // Names of this run alone, so that it can be repeated.
    String alias = "alias/java/" + id;
    String role = "arn:aws:iam::" + key.awsAccountId() + ":role/" + id;
    SdkBytes message = SdkBytes.fromUtf8String("message");
    GenerateMacRequest generate =
        GenerateMacRequest.builder().keyId(id).message(message).macAlgorithm(MacAlgorithmSpec.HMAC_SHA_256).build();

    kms.createAlias(r -> r.aliasName(alias).targetKeyId(id));
    SdkBytes mac = kms.generateMac(generate.copy(r -> r.keyId(alias))).mac();
    equal(mac.asByteArray().length, 32);
    VerifyMacRequest verify =
        VerifyMacRequest.builder()
            .keyId(id)
            .message(message)
            .macAlgorithm(MacAlgorithmSpec.HMAC_SHA_256)
            .mac(mac)
            .build();
    VerifyMacResponse verified = kms.verifyMac(verify);
    equal(verified.macValid(), true);
    equal(verified.keyId(), key.arn());
    // Description, time of creation and all the rest.
    equal(kms.describeKey(r -> r.keyId(alias)).keyMetadata(), key);
    kms.updateKeyDescription(r -> r.keyId(id).description("another"));
    kms.updateAlias(r -> r.aliasName(alias).targetKeyId(id));

    String policy = kms.getKeyPolicy(r -> r.keyId(id)).policy();
    equal(policy.contains("\"key-default-1\""), true);
    kms.putKeyPolicy(r -> r.keyId(id).policy(policy));

    kms.tagResource(r -> r.keyId(id).tags(tag("a"), tag("b"), tag("c"), tag("d")));
    kms.untagResource(r -> r.keyId(id).tagKeys("a"));
    equal(kms.listResourceTags(r -> r.keyId(id)).tags(), List.of(tag("b"), tag("c"), tag("d")));

    // HMAC keys do not rotate.
    kms.disableKeyRotation(r -> r.keyId(id));
    equal(kms.getKeyRotationStatus(r -> r.keyId(id)).keyRotationEnabled(), false);
    equal(kms.listKeyRotations(r -> r.keyId(id)).rotations(), List.of());
    fails(UnsupportedOperationException.class, () -> kms.enableKeyRotation(r -> r.keyId(id)));
    fails(UnsupportedOperationException.class, () -> kms.rotateKeyOnDemand(r -> r.keyId(id)));

    equal(
        kms.getKeyLastUsage(r -> r.keyId(id)).keyLastUsage().operation(), KeyLastUsageTrackingOperation.VERIFY_MAC);
    importMaterial(kms, generate);

    CreateGrantResponse retired =
        kms.createGrant(
            r ->
                r.keyId(id)
                    .granteePrincipal(role)
                    .retiringPrincipal(role)
                    .operations(GrantOperation.GENERATE_MAC)
                    .name("n"));
    equal(names(kms.listGrants(r -> r.keyId(id)).grants(), GrantListEntry::grantId), Set.of(retired.grantId()));
    equal(
        names(kms.listRetirableGrants(r -> r.retiringPrincipal(role)).grants(), GrantListEntry::name), Set.of("n"));
    kms.generateMac(generate.copy(r -> r.grantTokens(retired.grantToken())));
    kms.retireGrant(r -> r.grantToken(retired.grantToken()));
    String revoked =
        kms.createGrant(r -> r.keyId(id).granteePrincipal(role).operations(GrantOperation.VERIFY_MAC)).grantId();
    kms.revokeGrant(r -> r.keyId(id).grantId(revoked));
    equal(kms.listGrants(r -> r.keyId(id)).grants(), List.of());

    // KmsInternalException and KeyUnavailableException are missing: they need a broken store.
    fails(DryRunOperationException.class, () -> kms.generateMac(generate.copy(r -> r.dryRun(true))));
    fails(InvalidGrantTokenException.class, () -> kms.generateMac(generate.copy(r -> r.grantTokens("x"))));
    fails(
        InvalidKeyUsageException.class,
        () -> kms.generateMac(generate.copy(r -> r.macAlgorithm(MacAlgorithmSpec.HMAC_SHA_512))));
    fails(NotFoundException.class, () -> kms.generateMac(generate.copy(r -> r.keyId("alias/none"))));
    fails(
        KmsInvalidMacException.class, () -> kms.verifyMac(verify.copy(r -> r.mac(SdkBytes.fromUtf8String("x")))));
    kms.disableKey(r -> r.keyId(id));
    fails(DisabledException.class, () -> kms.verifyMac(verify));
    kms.enableKey(r -> r.keyId(id));
    kms.scheduleKeyDeletion(r -> r.keyId(id).pendingWindowInDays(7));
    fails(KmsInvalidStateException.class, () -> kms.generateMac(generate));
    equal(kms.cancelKeyDeletion(r -> r.keyId(id)).keyId(), key.arn());
    kms.enableKey(r -> r.keyId(id));

    // More than fits a page, of everything of which there can be more than one.
    Set<String> keys = new HashSet<>(Set.of(id));
    for (int n = 0; n < 4; n++) {
      keys.add(createKey(kms).keyId());
      String another = alias + "/" + n;
      kms.createAlias(r -> r.aliasName(another).targetKeyId(id));
      kms.createGrant(
          r ->
              r.keyId(id)
                  .granteePrincipal(role)
                  .retiringPrincipal(role)
                  .operations(GrantOperation.GENERATE_MAC));
    }
    equal(names(kms.listKeysPaginator(r -> r.limit(2)).keys(), KeyListEntry::keyId).containsAll(keys), true);
    equal(
        names(kms.listAliasesPaginator(r -> r.keyId(id).limit(2)).aliases(), AliasListEntry::aliasName),
        Stream.of("", "/0", "/1", "/2", "/3").map(alias::concat).collect(Collectors.toSet()));
    equal(names(kms.listGrantsPaginator(r -> r.keyId(id).limit(2)).grants(), GrantListEntry::grantId).size(), 4);
    equal(
        names(
                kms.listRetirableGrantsPaginator(r -> r.retiringPrincipal(role).limit(2)).grants(),
                GrantListEntry::grantId)
            .size(),
        4);
    equal(
        names(kms.listResourceTagsPaginator(r -> r.keyId(id).limit(2)).tags(), Tag::tagKey), Set.of("b", "c", "d"));
    equal(
        names(kms.listKeyPoliciesPaginator(r -> r.keyId(id).limit(2)).policyNames(), Function.identity()),
        Set.of("default"));

    kms.deleteAlias(r -> r.aliasName(alias));
    equal(kms.listAliases(r -> r.keyId(id)).aliases().size(), 4);
    // The other aliases and the grants go with the keys.
    for (String made : keys) kms.scheduleKeyDeletion(r -> r.keyId(made).pendingWindowInDays(7));
  }

  private static Tag tag(String key) {
    return Tag.builder().tagKey(key).tagValue("x").build();
  }

  private static KeyMetadata createKey(KmsClient kms) {
    return kms.createKey(
            r -> r.keySpec(KeySpec.HMAC_256).keyUsage(KeyUsageType.GENERATE_VERIFY_MAC).description("Java"))
        .keyMetadata();
  }

  /** The names of items, none of which may be there twice. */
  private static <T> Set<String> names(Iterable<T> items, Function<T, String> name) {
    Set<String> names = new HashSet<>();
    for (T item : items) {
      if (!names.add(name.apply(item))) throw new AssertionError(name.apply(item) + " is there twice");
    }
    return names;
  }

  private static void fails(Class<? extends KmsException> expected, Runnable call) {
    try {
      call.run();
    } catch (KmsException error) {
      if (expected.isInstance(error)) return;
      throw new AssertionError(expected.getSimpleName() + " expected, not: " + error, error);
    }
    throw new AssertionError(expected.getSimpleName() + " expected, not an answer");
  }

  private static void equal(Object got, Object want) {
    if (!Objects.equals(got, want)) throw new AssertionError(want + " expected, not: " + got);
  }
}
