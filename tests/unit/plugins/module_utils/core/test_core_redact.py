# Copyright: Holdfast maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Canaries: a secret that goes in by any door must not come out."""

from __future__ import annotations

import json
import time

import pytest

from ansible_collections.holdfast.k3s.plugins.module_utils.core.redact import redact_object, redact_text

CANARY = "canary-7f3Zq9"

TEXTS = [
    f"DATABASE_URL postgresql://app:{CANARY}@postgres:5432/db failed",
    f"redis://:{CANARY}@redis:6379/0",
    f"Authorization: Bearer {CANARY}abcdef",
    f"PGPASSWORD={CANARY} psql",
    f"password:  true-{CANARY}",
    f'{{"password":"{CANARY}"}}',
    f"api_key: {CANARY}",
    f"--token={CANARY} --node-ip=1.2.3.4",
    f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
    f"DB_PASS={CANARY}",
    f"PGPASS={CANARY}",
    f"env SMTP_PASS: {CANARY}",
    f"MYSQL_PWD={CANARY} mysql",
    f"REDIS_AUTH='{CANARY}'",
    f"redis-server --requirepass {CANARY}",
    f"app --db-pass {CANARY} --port 1",
    f"k3s server --token {CANARY}",
    f"k3s agent --agent-token '{CANARY}'",
    f"k3s etcd-snapshot --etcd-s3-secret-key {CANARY}",
    f"ExecStart=/usr/local/bin/k3s \\\n    server \\\n\t'--token' \\\n\t'{CANARY}' \\\n",
    f"argv ['--token', '{CANARY}']",
    json.dumps(json.dumps({"password": CANARY, "a": 1})),
    json.dumps(json.dumps({"a": json.dumps({"password": f'x" {CANARY}'})})),
    json.dumps(json.dumps({"DB_PASS": f'x"{CANARY}'})),
    f'password="{CANARY}',
    f"joining with K10{'a' * 64}::server:{CANARY}",
]

OBJECTS = [
    {"kind": "Secret", "data": {"x": CANARY}, "stringData": {"y": CANARY}},
    {"kind": "List", "items": [{"kind": "Secret", "data": {"x": CANARY}}]},
    {"env": [{"name": "POSTGRES_PASSWORD", "value": CANARY}]},
    {"env": [{"name": "OPENAI_API_KEY", "value": CANARY}]},
    {"kind": "ConfigMap", "data": {"SESSION_TOKEN": CANARY}},
    {"args": ["--password", CANARY]},
    {"args": [f"--password={CANARY}"]},
    {"args": ["--requirepass", CANARY]},
    {"args": ["--db-pass", CANARY]},
    {"env": [{"name": name, "value": CANARY} for name in ("DB_PASS", "PGPASS", "MYSQL_PWD", "REDIS_AUTH")]},
    {"kind": "ConfigMap", "data": {"SMTP_PASS": CANARY, "config.json": json.dumps({"db_pass": CANARY})}},
    {"users": [{"user": {"token": CANARY, "client-key-data": CANARY}}]},
    {
        "kind": "Secret",
        "metadata": {
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": json.dumps(
                    {"kind": "Secret", "stringData": {"p": CANARY}}
                )
            }
        },
    },
    {"env": [{"name": "DATABASE_URL", "value": f"postgresql://u:{CANARY}@h/db"}]},
]


@pytest.mark.parametrize("text", TEXTS)
def test_no_canary_survives_in_text(text: str) -> None:
    assert CANARY not in redact_text(text)


@pytest.mark.parametrize("obj", OBJECTS)
def test_no_canary_survives_in_objects(obj: dict) -> None:
    assert CANARY not in json.dumps(redact_object(obj))


def test_known_values_go_wherever_they_stand() -> None:
    assert redact_text(f"so {CANARY} it is", [CANARY]) == "so *** it is"
    assert redact_object({"a": [f"x{CANARY}"]}, [CANARY]) == {"a": ["x***"]}


def test_what_a_person_needs_stays() -> None:
    pod = {
        "kind": "Pod",
        "metadata": {"name": "rest-api-1", "uid": "u-1"},
        "spec": {
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [
                {
                    "image": "localhost:5000/app:1",
                    "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}],
                }
            ],
            "volumes": [{"secret": {"secretName": "tls"}}],
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
        },
        "status": {"message": "The node was low on resource: memory."},
    }
    assert redact_object(pod) == pod
    assert redact_text("listening on http://0.0.0.0:8080/health") == "listening on http://0.0.0.0:8080/health"
    for advice in (
        "soundcore-auth-0: ImagePullBackOff",
        "Deployment shop/api-auth: 0 of 2 pods are ready",
        "run again with allow_node_password_reset: true",
        '{"secrets_encryption": true}',
        "x_token=false; y",
        "secrets.keys = 'keys': these keys are missing",
        "--token-file /etc/rancher/token and --etcd-s3-secret-key-file /x",
        "give --token --debug",
        "--- PASS: TestX (0.00s), PWD=/root, COMPASS=n, OAUTH: yes",
        json.dumps(json.dumps({"secret": True, "token": None})),
        "check the credentials: configs.<registry>.auth in registries.yaml, or the pull secret",
    ):
        assert redact_text(advice) == advice, "true and false are no secrets"


def seconds(text: str) -> float:
    """The best of three, so that a busy machine does not count."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        redact_text(text)
        taken.append(time.process_time() - began)
    return min(taken)


@pytest.mark.parametrize(
    "unit", ["aZ9_.-b7", "TOKEN", "TOKEN ", "token.", "x_key.", "a.b-c+", "--", "password=", 'p\\"']
)
def test_a_long_line_takes_time_in_proportion(unit: str) -> None:
    """Logs hold lines of many kilobytes without a blank; quadratic time would be 64 times that of an eighth."""
    short = "a key " + unit * (4096 // len(unit))
    long = "a key " + unit * (8 * 4096 // len(unit))
    assert seconds(long) < 24 * max(seconds(short), 1e-4)
