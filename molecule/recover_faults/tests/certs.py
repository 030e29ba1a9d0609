"""Certificates with dates of our choice, for the key that a k3s certificate already has."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization


def redated(old: str, authority: str, authority_key: str, start_days: float, end_days: float) -> bytes:
    """The same certificate, valid from now + start_days to now + end_days, signed by its authority."""
    leaf = x509.load_pem_x509_certificates(old.encode())
    issuer = x509.load_pem_x509_certificate(authority.encode())
    key = serialization.load_pem_private_key(authority_key.encode(), None)
    now = datetime.now(timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf[0].subject)
        .issuer_name(issuer.subject)
        .public_key(leaf[0].public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=start_days))
        .not_valid_after(now + timedelta(days=end_days))
    )
    for extension in leaf[0].extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    chain = [signed, *leaf[1:]]
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain)
