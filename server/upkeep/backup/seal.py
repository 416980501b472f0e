"""Secrets behind a passphrase. Pure: salt and nonce are arguments.

Theory. A passphrase is guessable, so each guess is made dear: scrypt (RFC 7914) with 64 MiB and a
salt of its own. The key opens AES-256-GCM, whose associated data are the manifest's bytes: a wrong
passphrase, a changed blob and a changed manifest all end alike, and no byte comes out. The cost
comes from a short list, not from the archive alone: what is handed in cannot make us work for hours
or take all memory.

Owns the form of the sealed blob. Refuses short passphrases.
"""

import base64
import binascii
import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.base.errors import InvalidValue

SHORTEST = 10
LONGEST = 1000
SALT_BYTES, NONCE_BYTES = 16, 12
COST = 1 << 16
_COSTS = frozenset({1 << 15, 1 << 16, 1 << 17})
_BLOCK = 8


class WrongPassphrase(InvalidValue):
    """Or the archive was changed: nobody can tell which."""


@dataclass(frozen=True, slots=True)
class Seal:
    cost: int
    salt: bytes
    nonce: bytes

    def to_dict(self) -> dict[str, Any]:
        return {
            "cipher": "aes-256-gcm",
            "kdf": "scrypt",
            "cost": self.cost,
            "salt": self.salt.hex(),
            "nonce": self.nonce.hex(),
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> "Seal":
        """Raises `ValueError`, `KeyError` or `TypeError`."""
        salt, nonce = bytes.fromhex(body["salt"]), bytes.fromhex(body["nonce"])
        known = (body["cipher"], body["kdf"]) == ("aes-256-gcm", "scrypt")
        if not known or body["cost"] not in _COSTS or type(body["cost"]) is not int:
            raise ValueError("seal")
        if len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
            raise ValueError("seal")
        return cls(body["cost"], salt, nonce)


def checked(passphrase: str) -> str:
    """Raises `InvalidValue` for one that is too short to be worth the name."""
    if not SHORTEST <= len(passphrase) <= LONGEST:
        raise InvalidValue(
            f"A passphrase needs {SHORTEST} to {LONGEST} characters.",
            param="passphrase",
            advice="Four or more random words are easy to keep and hard to guess.",
        )
    return passphrase


def sealed(secrets: Mapping[str, bytes], passphrase: str, seal: Seal, manifest: bytes) -> bytes:
    """`manifest`: the bytes as they stand in the archive."""
    body = {name: base64.b64encode(data).decode() for name, data in secrets.items()}
    key = _key(passphrase, seal)
    return AESGCM(key).encrypt(seal.nonce, json.dumps(body).encode(), manifest)


def opened(blob: bytes, passphrase: str, seal: Seal, manifest: bytes) -> dict[str, bytes]:
    """Raises `WrongPassphrase`."""
    try:
        body = json.loads(AESGCM(_key(passphrase, seal)).decrypt(seal.nonce, blob, manifest))
        return {name: base64.b64decode(text, validate=True) for name, text in body.items()}
    except InvalidTag:
        raise WrongPassphrase(
            "The passphrase does not open this backup, or the backup was changed.",
            param="passphrase",
            advice="Try again; without the passphrase all but the SSH key can be restored.",
        ) from None
    except (ValueError, TypeError, AttributeError, binascii.Error):
        raise WrongPassphrase("The sealed part of this backup is not complete.") from None


def _key(passphrase: str, seal: Seal) -> bytes:
    text = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    memory = 128 * _BLOCK * seal.cost + (1 << 20)
    return hashlib.scrypt(text, salt=seal.salt, n=seal.cost, r=_BLOCK, p=1, maxmem=memory, dklen=32)
