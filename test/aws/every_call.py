"""Makes every call of AWS KMS that hmacd has, by boto3, and gets every typed exception of GenerateMac and VerifyMac.

Usage: every_call.py ENDPOINT. Credentials and Region come from the environment, as boto3 finds them.
"""

import hmac
import json
import subprocess
import sys
import tempfile

import boto3

ROLE = "arn:aws:iam::000000000000:role/orders"

kms = boto3.client("kms", endpoint_url=sys.argv[1])
done = set()


def call(operation, **members):
    done.add(operation)
    answer = getattr(kms, operation)(**members)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    return answer


def fails(exception, operation, **members):
    try:
        call(operation, **members)
    except getattr(kms.exceptions, exception):
        return
    raise AssertionError(f"{operation} did not end in {exception}")


key = call("create_key", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC", Description="boto3")["KeyMetadata"]
key_id, arn = key["KeyId"], key["Arn"]
mac = {"KeyId": key_id, "Message": b"message", "MacAlgorithm": "HMAC_SHA_256"}

call("create_alias", AliasName="alias/boto3", TargetKeyId=key_id)
tag = call("generate_mac", **{**mac, "KeyId": "alias/boto3"})["Mac"]
assert call("verify_mac", Mac=tag, **mac)["MacValid"] is True
assert call("describe_key", KeyId="alias/boto3")["KeyMetadata"]["Description"] == "boto3"
call("update_key_description", KeyId=key_id, Description="another")
call("update_alias", AliasName="alias/boto3", TargetKeyId=key_id)
assert json.loads(call("get_key_policy", KeyId=key_id)["Policy"])["Id"] == "key-default-1"
call("put_key_policy", KeyId=key_id, Policy=call("get_key_policy", KeyId=key_id)["Policy"])
assert call("list_key_policies", KeyId=key_id)["PolicyNames"] == ["default"]

call("tag_resource", KeyId=key_id, Tags=[{"TagKey": "team", "TagValue": "shop"}, {"TagKey": "a", "TagValue": ""}])
call("untag_resource", KeyId=key_id, TagKeys=["a", "b"])
assert call("list_resource_tags", KeyId=key_id)["Tags"] == [{"TagKey": "team", "TagValue": "shop"}]
fails("TagException", "tag_resource", KeyId=key_id, Tags=[{"TagKey": "aws:x", "TagValue": ""}])
call("disable_key_rotation", KeyId=key_id)
fails("UnsupportedOperationException", "enable_key_rotation", KeyId=key_id)
fails("UnsupportedOperationException", "rotate_key_on_demand", KeyId=key_id)
assert call("get_key_rotation_status", KeyId=key_id)["KeyRotationEnabled"] is False
assert call("list_key_rotations", KeyId=key_id)["Rotations"] == []

grant = call(
    "create_grant", KeyId=key_id, GranteePrincipal=ROLE, RetiringPrincipal=ROLE, Operations=["GenerateMac"], Name="n"
)
assert call("list_grants", KeyId=key_id)["Grants"][0]["GrantId"] == grant["GrantId"]
assert call("list_retirable_grants", RetiringPrincipal=ROLE)["Grants"][0]["Name"] == "n"
call("generate_mac", GrantTokens=[grant["GrantToken"]], **mac)
call("retire_grant", GrantToken=grant["GrantToken"])
grant = call("create_grant", KeyId=key_id, GranteePrincipal=ROLE, Operations=["VerifyMac"])
call("revoke_grant", KeyId=key_id, GrantId=grant["GrantId"])

# The exceptions of the source documents; KMSInternalException and KeyUnavailableException need a broken store.
fails("DryRunOperationException", "generate_mac", DryRun=True, **mac)
fails("InvalidGrantTokenException", "generate_mac", GrantTokens=["x"], **mac)
fails("InvalidKeyUsageException", "generate_mac", **{**mac, "MacAlgorithm": "HMAC_SHA_512"})
fails("NotFoundException", "generate_mac", **{**mac, "KeyId": "alias/none"})
fails("KMSInvalidMacException", "verify_mac", Mac=b"x", **mac)
usage = call("get_key_last_usage", KeyId=key_id)
assert (usage["KeyId"], usage["KeyLastUsage"]["Operation"]) == (arn, "GenerateMac")
call("disable_key", KeyId=key_id)
fails("DisabledException", "verify_mac", Mac=tag, **mac)
call("enable_key", KeyId=key_id)
call("schedule_key_deletion", KeyId=key_id, PendingWindowInDays=7)
fails("KMSInvalidStateException", "generate_mac", **mac)
assert call("cancel_key_deletion", KeyId=key_id)["KeyId"] == arn
call("enable_key", KeyId=key_id)

# Key material from elsewhere, wrapped by openssl.
external = call("create_key", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC", Origin="EXTERNAL")["KeyMetadata"]
assert external["KeyState"] == "PendingImport"
wrapping = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
parameters = call("get_parameters_for_import", KeyId=external["KeyId"], **wrapping)
assert parameters["KeyId"] == external["Arn"] and parameters["ParametersValidTo"] > external["CreationDate"]
with tempfile.NamedTemporaryFile() as public_key:
    public_key.write(parameters["PublicKey"])
    public_key.flush()
    options = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256"]
    command = ["openssl", "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", public_key.name]
    command += [word for option in options for word in ("-pkeyopt", option)]
    wrapped = subprocess.run(command, input=b"m" * 32, capture_output=True, check=True).stdout
material = {"KeyId": external["KeyId"], "ImportToken": parameters["ImportToken"], "EncryptedKeyMaterial": wrapped}
does_not_expire = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
fails("InvalidImportTokenException", "import_key_material", **{**material, "ImportToken": b"x"}, **does_not_expire)
fails("InvalidCiphertextException", "import_key_material", **{**material, "EncryptedKeyMaterial": b"x"}, **does_not_expire)
assert call("import_key_material", **material, **does_not_expire)["KeyId"] == external["Arn"]
described = call("describe_key", KeyId=external["KeyId"])["KeyMetadata"]
assert (described["KeyState"], described["ExpirationModel"]) == ("Enabled", "KEY_MATERIAL_DOES_NOT_EXPIRE")
imported = call("generate_mac", **{**mac, "KeyId": external["KeyId"]})["Mac"]
assert imported == hmac.digest(b"m" * 32, mac["Message"], "sha256")
assert call("delete_imported_key_material", KeyId=external["KeyId"])["KeyId"] == external["Arn"]
fails("KMSInvalidStateException", "generate_mac", **{**mac, "KeyId": external["KeyId"]})

# The paginators walk over everything once.
for n in range(5):
    call("create_alias", AliasName=f"alias/page-{n}", TargetKeyId=key_id)
    call("create_grant", KeyId=key_id, GranteePrincipal=ROLE, RetiringPrincipal=ROLE, Operations=["GenerateMac"])


def pages(operation, member, **members):
    done.add(operation)
    found = kms.get_paginator(operation).paginate(PaginationConfig={"PageSize": 2}, **members)
    return [item for page in found for item in page[member]]


assert len(pages("list_keys", "Keys")) == len(call("list_keys")["Keys"])
assert len(pages("list_aliases", "Aliases", KeyId=key_id)) == 6
assert len({grant["GrantId"] for grant in pages("list_grants", "Grants", KeyId=key_id)}) == 5
assert len(pages("list_retirable_grants", "Grants", RetiringPrincipal=ROLE)) == 5
call("tag_resource", KeyId=key_id, Tags=[{"TagKey": str(n), "TagValue": "x"} for n in range(5)])
assert [tag["TagKey"] for tag in pages("list_resource_tags", "Tags", KeyId=key_id)] == [*"01234", "team"]
assert pages("list_key_policies", "PolicyNames", KeyId=key_id) == ["default"]
call("delete_alias", AliasName="alias/boto3")
call("list_aliases")

print(f"{len(done)} operations")
