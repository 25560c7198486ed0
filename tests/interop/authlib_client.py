"""A client of OpenID Connect by Authlib, as its documentation shows: prints where the browser is to go, reads where it was sent
back to, and prints what it learned."""

import json
import sys

import requests
from authlib.common.security import generate_token
from authlib.common.urls import add_params_to_uri
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, jwt
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url

issuer, client_id, client_secret, redirect_uri, goodbye = sys.argv[1:6]
metadata = requests.get(get_well_known_url(issuer, external=True), timeout=10).json()
client = OAuth2Session(
    client_id,
    client_secret,
    scope="openid profile email offline_access",
    redirect_uri=redirect_uri,
    code_challenge_method="S256",
)
nonce, verifier = generate_token(), generate_token(48)
url, state = client.create_authorization_url(metadata["authorization_endpoint"], nonce=nonce, code_verifier=verifier)
print(url, flush=True)
answer = sys.stdin.readline().strip()
token = client.fetch_token(
    metadata["token_endpoint"], authorization_response=answer, state=state, code_verifier=verifier
)


def verified(id_token, nonce):
    """The claims of an ID token, by the keys that are published."""
    keys = JsonWebKey.import_key_set(requests.get(metadata["jwks_uri"], timeout=10).json())
    options = {"iss": {"essential": True, "value": metadata["issuer"]}, "aud": {"essential": True, "value": client_id}}
    claims = jwt.decode(
        id_token,
        keys,
        claims_cls=CodeIDToken,
        claims_options=options,
        claims_params={"client_id": client_id, "nonce": nonce, "access_token": None},
    )
    claims.validate(leeway=5)
    return claims


claims = verified(token["id_token"], nonce)
person = client.get(metadata["userinfo_endpoint"]).json()
again = client.refresh_token(metadata["token_endpoint"], refresh_token=token["refresh_token"])
refreshed = verified(again["id_token"], None)
# OpenID Connect RP-Initiated Logout 1.0 §2.
parting = generate_token()
end = [("id_token_hint", again["id_token"]), ("post_logout_redirect_uri", goodbye), ("state", parting)]
print(add_params_to_uri(metadata["end_session_endpoint"], end), flush=True)
left = sys.stdin.readline().strip()
client.revoke_token(metadata["revocation_endpoint"], token=again["refresh_token"])
after = client.get(metadata["userinfo_endpoint"]).status_code
learned = {"claims": claims, "person": person, "refreshed": refreshed, "after": after}
print(json.dumps({**learned, "left": left == f"{goodbye}?state={parting}"}), flush=True)
