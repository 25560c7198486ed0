//! What `WebCrypto` is at the edge: key pairs, signatures, and a look at them that is another library's.

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ed25519_dalek::Signer as _;
use edgemint::host::{Algorithm, Jwk};
use rand::rngs::OsRng;
use rsa::{
    BigUint, RsaPrivateKey, pkcs1v15, pss,
    sha2::Sha256,
    signature::{RandomizedSigner as _, SignatureEncoding as _},
    traits::{PrivateKeyParts as _, PublicKeyParts as _},
};
use serde_json::{Value, json};

fn text(bytes: &[u8]) -> Value {
    Value::from(Base64UrlUnpadded::encode_string(bytes))
}

fn bytes(jwk: &Jwk, name: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(jwk[name].as_str().unwrap()).unwrap()
}

fn number(jwk: &Jwk, name: &str) -> BigUint {
    BigUint::from_bytes_be(&bytes(jwk, name))
}

/// A private JWK, with members that `WebCrypto` adds.
pub fn generate(algorithm: Algorithm) -> Jwk {
    let mut jwk = match algorithm {
        Algorithm::Es256 => {
            let key = p256::ecdsa::SigningKey::random(&mut OsRng);
            let point = key.verifying_key().to_encoded_point(false);
            json!({ "kty": "EC", "crv": "P-256", "x": text(point.x().unwrap()), "y": text(point.y().unwrap()),
                "d": text(&key.to_bytes()) })
        }
        Algorithm::EdDsa => {
            let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
            json!({ "kty": "OKP", "crv": "Ed25519", "x": text(key.verifying_key().as_bytes()), "d": text(key.as_bytes()) })
        }
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let key = RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
            let [p, q] = key.primes() else { panic!("two primes") };
            json!({ "kty": "RSA", "n": text(&key.n().to_bytes_be()), "e": text(&key.e().to_bytes_be()),
                "d": text(&key.d().to_bytes_be()), "p": text(&p.to_bytes_be()), "q": text(&q.to_bytes_be()) })
        }
    };
    jwk["ext"] = json!(true);
    jwk["key_ops"] = json!(["sign"]);
    jwk.as_object().unwrap().clone()
}

/// A signature as JWS has it.
pub fn sign(algorithm: Algorithm, jwk: &Jwk, message: &[u8]) -> Vec<u8> {
    let rsa = || {
        let primes = vec![number(jwk, "p"), number(jwk, "q")];
        RsaPrivateKey::from_components(number(jwk, "n"), number(jwk, "e"), number(jwk, "d"), primes).unwrap()
    };
    match algorithm {
        Algorithm::Es256 => {
            let key = p256::ecdsa::SigningKey::from_slice(&bytes(jwk, "d")).unwrap();
            let signature: p256::ecdsa::Signature = key.sign(message);
            signature.to_bytes().to_vec()
        }
        Algorithm::EdDsa => {
            let seed: [u8; 32] = bytes(jwk, "d").try_into().unwrap();
            ed25519_dalek::SigningKey::from_bytes(&seed).sign(message).to_bytes().to_vec()
        }
        Algorithm::Rs256 => pkcs1v15::SigningKey::<Sha256>::new(rsa()).sign(message).to_vec(),
        Algorithm::Ps256 => {
            pss::BlindedSigningKey::<Sha256>::new(rsa()).sign_with_rng(&mut OsRng, message).to_vec()
        }
    }
}

/// Whether a signature is one.
pub fn verify(algorithm: Algorithm, public: &Jwk, message: &[u8], signature: &[u8]) -> bool {
    use jsonwebtoken::{DecodingKey, crypto, jwk::Jwk};
    let jwk: Jwk = serde_json::from_value(Value::Object(public.clone())).unwrap();
    let key = DecodingKey::from_jwk(&jwk).unwrap();
    let signature = Base64UrlUnpadded::encode_string(signature);
    crypto::verify(&signature, message, &key, algorithm.name().parse().unwrap()).unwrap_or(false)
}
