"""Signs a webhook and verifies it, as its sender and its receiver would.

    python webhooks.py [ADDRESS]    # 127.0.0.1:50051 when left out
"""

import hashlib
import sys
import time

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from hmacd.v1 import mac_pb2, mac_pb2_grpc

KEY = "alias/demo"
ALGORITHM = mac_pb2.MAC_ALGORITHM_HMAC_SHA_256
DEADLINE = 5  # seconds; without one, a call waits for ever
MAX_AGE = 300  # seconds after which a webhook is taken for a replay


def digest(timestamp: int, body: bytes) -> bytes:
    """What is signed: a message has at most 4,096 bytes, and a body may have more. The time in it stops replays."""
    return hashlib.sha256(b"%d." % timestamp + body).digest()


def sign(macs: mac_pb2_grpc.MacServiceStub, timestamp: int, body: bytes) -> bytes:
    request = mac_pb2.GenerateMacRequest(key_id=KEY, mac_algorithm=ALGORITHM, message=digest(timestamp, body))
    return macs.GenerateMac(request, timeout=DEADLINE).mac


def verify(macs: mac_pb2_grpc.MacServiceStub, timestamp: int, body: bytes, mac: bytes) -> bool:
    if abs(time.time() - timestamp) > MAX_AGE:
        return False
    request = mac_pb2.VerifyMacRequest(key_id=KEY, mac_algorithm=ALGORITHM, message=digest(timestamp, body), mac=mac)
    try:
        return macs.VerifyMac(request, timeout=DEADLINE).mac_valid
    except grpc.RpcError as error:
        # Only this reason says that the MAC is wrong. Any other error says that nobody knows: do not reject the webhook
        # for it, let the sender try again.
        info = error_info(error)
        if info is not None and info.reason == "KMS_INVALID_MAC":
            return False
        raise


def error_info(error: grpc.RpcError) -> ErrorInfo | None:
    """What hmacd says of an error; none when it comes from elsewhere, such as a service that is not there."""
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        info = ErrorInfo()
        if detail.Unpack(info) and info.domain == "hmacd":
            return info
    return None


def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:50051"
    # Plaintext is for loopback; elsewhere: grpc.secure_channel(address, grpc.ssl_channel_credentials(...)).
    with grpc.insecure_channel(address) as channel:
        macs = mac_pb2_grpc.MacServiceStub(channel)
        body = b'{"order":1234,"total":"56.78"}'
        timestamp = int(time.time())
        mac = sign(macs, timestamp, body)
        print("signed:", mac.hex())
        print("genuine:", verify(macs, timestamp, body, mac))
        print("forged:", verify(macs, timestamp, body.replace(b"56.78", b"0.01"), mac))


if __name__ == "__main__":
    main()
