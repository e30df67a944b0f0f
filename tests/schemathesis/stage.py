"""Fills a running Tenure with a workspace `acme` that every operation has something to work on.

Asks with the operator's credential in TENURE_TOKEN_ID and TENURE_TOKEN_SECRET at TENURE_URL, and prints lines of
`NAME=VALUE`: the owner's credential, a proxy token, and the ids that paths are filled with.
"""

import base64
import json
import os
import urllib.request

URL = os.environ["TENURE_URL"]
OPERATOR = f"{os.environ['TENURE_TOKEN_ID']}:{os.environ['TENURE_TOKEN_SECRET']}"


def call(method, path, body):
    """Sends JSON as the operator; gives the answer's JSON."""
    headers = {
        "Authorization": "Basic " + base64.b64encode(OPERATOR.encode()).decode(),
        "Content-Type": "application/json",
    }
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/v1/workspaces{path}", data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def workspace(name):
    body = {"name": name, "kind": "shared", "plan": "enterprise", "owner": {"user": "alice"}}
    return call("POST", "", body)


def main():
    acme = workspace("acme")
    workspace("leaving")
    call("PUT", "/acme/rbac", {"enabled": True})
    # What stays, and a double of it for each request that ends something.
    call("POST", "/acme/members", {"user": "bob", "role": "member", "name": "Bob", "email": "bob@example.com"})
    call("POST", "/acme/members", {"user": "leaving", "role": "member", "name": "Lea"})
    call("POST", "/acme/service-users", {"name": "robot"})
    call("POST", "/acme/service-users", {"name": "leaving"})
    for name in ["prod", "leaving"]:
        call("POST", "/acme/environments", {"name": name, "restricted": True})
        call("PUT", f"/acme/environments/{name}/grants/user:bob", {"role": "contributor"})
        call("PUT", f"/acme/environments/{name}/grants/service_user:robot", {"role": "viewer"})
    call("POST", "/acme/resource-types", {"name": "gpu", "actions": {"read": "viewer", "run": "contributor"}})
    for name in ["a100", "leaving"]:
        call("PUT", f"/acme/resources/gpu/{name}", {"environment": "prod"})
    tokens = [call("POST", "/acme/members/bob/tokens", {})["token"] for _ in range(2)]
    proxies = [call("POST", "/acme/proxy-tokens", {"environments": ["prod"]})["proxy_token"] for _ in range(2)]
    keys = [call("POST", "/acme/access-keys", {"role": "auditor", "label": "staged"})["access_key"] for _ in range(2)]
    made = {"OWNER_ID": acme["token"]["id"], "OWNER_SECRET": acme["token"]["secret"]}
    made["PROXY_ID"], made["PROXY_SECRET"] = proxies[0]["id"], proxies[0]["secret"]
    for name, (stays, leaves) in {"TOKEN": tokens, "PROXY": proxies, "KEY": keys}.items():
        made[f"{name}_STAYS"], made[f"{name}_LEAVES"] = stays["id"], leaves["id"]
    print("\n".join(f"{name}={value}" for name, value in made.items()))


if __name__ == "__main__":
    main()
