"""Compares the MACs of a running service with those of Python's own hmac module.

    python conformance.py SEED_FILE [ADDRESS] [--messages N]

SEED_FILE is the service's HMACD_SEED_FILE, written as JSON (which is YAML, too): one key of each spec, with its
material. Each key gets N random messages: its MAC must be Python's byte for byte, the service must verify it, and must
refuse it with any one bit flipped.
"""

import argparse
import base64
import hmac
import json
import random
import sys

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status
from hmacd.v1 import mac_pb2, mac_pb2_grpc

SPECS = ("HMAC_224", "HMAC_256", "HMAC_384", "HMAC_512")
DEADLINE = 10  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description="compares the MACs of a running service with Python's own")
    parser.add_argument("seed_file")
    parser.add_argument("address", nargs="?", default="127.0.0.1:50051")
    parser.add_argument("--messages", type=int, default=1000, metavar="N", help="for each algorithm")
    args = parser.parse_args()

    with open(args.seed_file, encoding="utf-8") as file:
        keys = {key["key_spec"]: key for key in json.load(file)["keys"]}
    equal = 0
    with grpc.insecure_channel(args.address) as channel:
        macs = mac_pb2_grpc.MacServiceStub(channel)
        for spec in SPECS:
            for length in lengths(args.messages):
                problem = compare(macs, spec, keys[spec], random.randbytes(length))
                if problem is None:
                    equal += 1
                else:
                    print(f"{spec}, a message of {length} bytes: {problem}", file=sys.stderr)
    total = len(SPECS) * args.messages
    print(f"{equal} of {total} equal")
    return 0 if equal == total else 1


def lengths(count: int) -> list[int]:
    """The shortest and the longest message that the service takes, and others between them."""
    return ([1, 4096] + [random.randint(1, 4096) for _ in range(count)])[:count]


def compare(macs: mac_pb2_grpc.MacServiceStub, spec: str, key: dict, message: bytes) -> str | None:
    """What is wrong, if anything is."""
    hash_name = spec.replace("HMAC_", "sha")
    algorithm = mac_pb2.MacAlgorithm.Value(spec.replace("HMAC_", "MAC_ALGORITHM_HMAC_SHA_"))
    request = {"key_id": key["aliases"][0], "mac_algorithm": algorithm, "message": message}

    mac = macs.GenerateMac(mac_pb2.GenerateMacRequest(**request), timeout=DEADLINE).mac
    expected = hmac.digest(base64.b64decode(key["material_base64"]), message, hash_name)
    if mac != expected:
        return f"the MAC is {mac.hex()} and not {expected.hex()}"
    if not verify(macs, mac_pb2.VerifyMacRequest(**request, mac=mac)):
        return "its MAC was refused"
    bit = random.randrange(len(mac) * 8)
    flipped = bytes(byte ^ (1 << bit % 8 if index == bit // 8 else 0) for index, byte in enumerate(mac))
    if verify(macs, mac_pb2.VerifyMacRequest(**request, mac=flipped)):
        return f"its MAC was taken with bit {bit} flipped"
    return None


def verify(macs: mac_pb2_grpc.MacServiceStub, request: mac_pb2.VerifyMacRequest) -> bool:
    try:
        return macs.VerifyMac(request, timeout=DEADLINE).mac_valid
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)
        for detail in status.details if status is not None else ():
            info = ErrorInfo()
            if detail.Unpack(info) and info.reason == "KMS_INVALID_MAC":
                return False
        # A service that is not there refuses every MAC, too: that proves nothing.
        raise


if __name__ == "__main__":
    sys.exit(main())
