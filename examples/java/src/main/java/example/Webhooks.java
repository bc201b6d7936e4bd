package example;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import hmacd.v1.Mac.GenerateMacRequest;
import hmacd.v1.Mac.MacAlgorithm;
import hmacd.v1.Mac.VerifyMacRequest;
import hmacd.v1.MacServiceGrpc;
import hmacd.v1.MacServiceGrpc.MacServiceBlockingStub;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.util.HexFormat;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** Signs a webhook and verifies it, as its sender and its receiver would. */
public final class Webhooks {
  private static final String KEY = "alias/demo";
  private static final MacAlgorithm ALGORITHM = MacAlgorithm.MAC_ALGORITHM_HMAC_SHA_256;

  /** After this long, a webhook is taken for a replay. */
  private static final Duration MAX_AGE = Duration.ofMinutes(5);

  private final MacServiceBlockingStub macs;

  Webhooks(MacServiceBlockingStub macs) {
    this.macs = macs;
  }

  byte[] sign(Instant at, byte[] body) {
    GenerateMacRequest request =
        GenerateMacRequest.newBuilder()
            .setKeyId(KEY)
            .setMacAlgorithm(ALGORITHM)
            .setMessage(digest(at, body))
            .build();
    return withDeadline().generateMac(request).getMac().toByteArray();
  }

  /** Any exception says that nobody knows: do not reject the webhook for it, let the sender try again. */
  boolean verify(Instant at, byte[] body, byte[] mac) {
    if (Duration.between(at, Instant.now()).abs().compareTo(MAX_AGE) > 0) return false;
    VerifyMacRequest request =
        VerifyMacRequest.newBuilder()
            .setKeyId(KEY)
            .setMacAlgorithm(ALGORITHM)
            .setMessage(digest(at, body))
            .setMac(ByteString.copyFrom(mac))
            .build();
    try {
      return withDeadline().verifyMac(request).getMacValid();
    } catch (StatusRuntimeException error) {
      if (errorInfo(error).filter(info -> info.getReason().equals("KMS_INVALID_MAC")).isPresent()) return false;
      throw error;
    }
  }

  /** Without a deadline, a call waits for ever; it begins when it is set, so every call gets its own. */
  private MacServiceBlockingStub withDeadline() {
    return macs.withDeadlineAfter(5, TimeUnit.SECONDS);
  }

  /** What is signed: a message has at most 4,096 bytes, and a body may have more. The time in it stops replays. */
  private static ByteString digest(Instant at, byte[] body) {
    try {
      MessageDigest sha256 = MessageDigest.getInstance("SHA-256");
      sha256.update((at.getEpochSecond() + ".").getBytes(StandardCharsets.US_ASCII));
      return ByteString.copyFrom(sha256.digest(body));
    } catch (NoSuchAlgorithmException impossible) {
      throw new AssertionError(impossible);
    }
  }

  /** What hmacd says of an error; empty when it comes from elsewhere, such as a service that is not there. */
  private static Optional<ErrorInfo> errorInfo(StatusRuntimeException error) {
    for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
      if (!detail.is(ErrorInfo.class)) continue;
      try {
        ErrorInfo info = detail.unpack(ErrorInfo.class);
        if (info.getDomain().equals("hmacd")) return Optional.of(info);
      } catch (InvalidProtocolBufferException damaged) {
        // Then it says nothing.
      }
    }
    return Optional.empty();
  }

  public static void main(String[] args) throws InterruptedException {
    String address = args.length > 0 ? args[0] : "127.0.0.1:50051";
    // Plaintext is for loopback; elsewhere: TlsChannelCredentials.
    ManagedChannel channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
    try {
      Webhooks webhooks = new Webhooks(MacServiceGrpc.newBlockingStub(channel));
      byte[] body = "{\"order\":1234,\"total\":\"56.78\"}".getBytes(StandardCharsets.UTF_8);
      byte[] altered = "{\"order\":1234,\"total\":\"0.01\"}".getBytes(StandardCharsets.UTF_8);
      Instant now = Instant.now();
      byte[] mac = webhooks.sign(now, body);
      System.out.println("signed: " + HexFormat.of().formatHex(mac));
      System.out.println("genuine: " + webhooks.verify(now, body, mac));
      System.out.println("forged: " + webhooks.verify(now, altered, mac));
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }
}
