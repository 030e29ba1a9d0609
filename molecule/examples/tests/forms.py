"""The forms in which the example inventories are deployed, with the numbers that their documents give."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

HPA = tuple[int, int, int]


@dataclass(frozen=True)
class Form:
    """One way to deploy one system.

    system: name of the inventory. namespace: where it goes. extra: further variables. answers: Service to its port and
    the health path of its document. environment: workload to variables that its process has to have. hpas: autoscaler to
    minimum, maximum and CPU target. pdbs: budget to its minAvailable. policies: names of the NetworkPolicies. read_only:
    whether its own containers have a read-only root. users: workload to user id, 1000 for all others. replicated: a
    workload with two pods whose loss nobody may notice. rolling: a workload whose renewal nobody may notice.
    waiting: workload and the data service it waits for. secrets: Secret to the variables that come from it.
    """

    system: str
    namespace: str
    answers: dict[str, tuple[int, str]]
    extra: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, dict[str, str]] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    hpas: dict[str, HPA] = field(default_factory=dict)
    pdbs: dict[str, int] = field(default_factory=dict)
    policies: set[str] = field(default_factory=set)
    claims: dict[str, str] = field(default_factory=dict)
    users: dict[str, int] = field(default_factory=dict)
    read_only: bool = False
    replicated: str = ""
    rolling: str = ""
    waiting: tuple[str, str] = ("", "")

    def gives(self, name: str) -> bool:
        """Whether there is anything in a field."""
        value = getattr(self, name)
        return any(value) if isinstance(value, tuple) else bool(value)

    def __str__(self) -> str:
        mode = self.extra.get("soundspan_mode", "")
        return "-".join(
            [self.system, *([mode] if mode else []), *(["ha"] if self.extra.get("soundspan_ha") else [])]
        )


WHATSTHECRAIC = Form(
    "whatsthecraic",
    "whatsthecraic",
    {
        "auth-service": (3001, "/health"),
        "events-service": (4003, "/health"),
        "dj-service": (4002, "/health"),
        "venue-service": (4001, "/health"),
        "aggregator": (4000, "/health"),
        "ml-service": (4004, "/health"),
    },
    environment={
        "auth-service": {
            "NODE_ENV": "production",
            "AGGREGATOR_URL": "http://aggregator:4000",
            "ENABLE_CLOUDWATCH": "false",
            "DB_USER": "admin",
        },
        "ml-service": {"ML_SERVICE_URL": "http://ml-service:4004"},
    },
    secrets={
        "whatsthecraic-secrets": dict.fromkeys(
            (
                "DB_HOST", "DB_USER", "DB_PASSWORD", "JWT_SECRET", "TICKETMASTER_API_KEY", "BANDSINTOWN_APP_ID",
                "SPOTIFY_CLIENT_ID", "SPOTIFY_CLIENT_SECRET", "EVENTBRITE_API_TOKEN", "APIFY_TOKEN",
            ),
            "events-service",
        )
    },
    hpas={"aggregator": (1, 2, 80), "events-service": (1, 2, 80)},
    claims={"ml-service-models": "2Gi"},
    rolling="venue-service",
)  # fmt: skip

_BACKENDS = {"knowledge": 8001, "content": 8002, "support": 8003, "analytics": 8004, "auth": 8005}
SOUNDCORE = Form(
    "soundcore",
    "soundcore-kcp-prod",
    {
        **{f"{name}-service": (port, f"/api/v1/{name}/health") for name, port in _BACKENDS.items()},
        "frontend": (3000, "/health"),
    },
    environment={
        "knowledge-service": {
            "KNOWLEDGE_SERVICE_URL": "http://knowledge-service:8001",
            "ENABLE_RAG_ENGINE": "true",
            "RATE_LIMIT_PER_MINUTE": "1000",
            "CACHE_TTL": "300",
            "LOG_LEVEL": "INFO",
            "DATABASE_POOL_MAX": "20",
            "NEO4J_URL": "bolt://neo4j:7687",
        },
        "frontend": {"ANALYTICS_SERVICE_URL": "http://analytics-service:8004"},
    },
    secrets={"kcp-secrets": {"OPENAI_API_KEY": "content-service", "DATABASE_PASSWORD": "auth-service"}},
    hpas={"frontend-hpa": (3, 10, 70)},
    pdbs={**{f"{name}-service": 1 for name in _BACKENDS}, "frontend": 2},
    policies={
        "default-deny", "allow-to-postgres", "allow-to-postgres-replica", "allow-to-mongodb", "allow-to-redis",
        "allow-to-redis-sentinel", "allow-to-neo4j", "allow-to-frontend", *(f"allow-to-{n}-service" for n in _BACKENDS),
    },
    users={"postgres": 999, "postgres-replica": 999, "mongodb": 999, "redis": 999, "redis-sentinel": 999, "neo4j": 7474},
    replicated="knowledge-service",
    rolling="content-service",
    waiting=("support-service", "postgres"),
)  # fmt: skip

STARTER = Form(
    "starter",
    "starter",
    {"api": (8000, "/health/ready"), "web": (3000, "/api/health/ready")},
    environment={
        "api": {
            "ENVIRONMENT": "production",
            "APP_PUBLIC_URL": "https://app.example.com",
            "SECRETS_PROVIDER": "aws_sm",
            "ENABLE_BILLING_RETRY_WORKER": "false",
            "ENABLE_BILLING_STREAM_REPLAY": "false",
        },
        "web": {"API_BASE_URL": "http://api:8000"},
    },
    secrets={"starter-api": {"DATABASE_URL": "api", "REDIS_URL": "api"}},
    hpas={"api": (2, 10, 80), "web": (2, 10, 80)},
    users={"postgres": 999, "redis": 999},
    replicated="api",
    rolling="web",
)

ALL_IN_ONE = Form(
    "soundspan",
    "soundspan",
    {"soundspan": (3030, "/")},
    claims={"soundspan-data": "1Gi", "music": "1Gi"},
    users={"soundspan": 0},
)

_LISTEN = {
    "LISTEN_TOGETHER_REDIS_ADAPTER_ENABLED": "true",
    "LISTEN_TOGETHER_STATE_SYNC_ENABLED": "true",
    "LISTEN_TOGETHER_STATE_STORE_ENABLED": "true",
    "LISTEN_TOGETHER_MUTATION_LOCK_ENABLED": "true",
    "LISTEN_TOGETHER_ALLOW_POLLING": "false",
    "LISTEN_TOGETHER_RECONNECT_SLO_MS": "5000",
    "READINESS_REQUIRE_DEPENDENCIES": "true",
    "BACKEND_PROCESS_ROLE": "api",
}
INDIVIDUAL = Form(
    "soundspan",
    "soundspan",
    {"soundspan-backend": (3006, "/health/ready"), "soundspan-frontend": (3030, "/health/ready")},
    extra={"soundspan_mode": "individual"},
    environment={
        "soundspan-backend": _LISTEN,
        "soundspan-backend-worker": {
            "BACKEND_PROCESS_ROLE": "worker",
            "SCHEDULER_CLAIM_SKIP_WARN_THRESHOLD": "3",
        },
        "soundspan-frontend": {"LISTEN_TOGETHER_ALLOW_POLLING": "false"},
    },
    secrets={"soundspan-database": {"POSTGRES_PASSWORD": "soundspan-backend"}},
    users={"postgres": 999, "redis": 999},
    claims={
        "soundspan-backend-downloads": "20Gi",
        "soundspan-backend-cache": "5Gi",
        "soundspan-backend-logs": "1Gi",
    },
    read_only=True,
    waiting=("soundspan-backend-worker", "postgres"),
)
HA = Form(
    "soundspan",
    "soundspan",
    INDIVIDUAL.answers,
    extra={"soundspan_mode": "individual", "soundspan_ha": True},
    environment=INDIVIDUAL.environment,
    secrets=INDIVIDUAL.secrets,
    users={**INDIVIDUAL.users, "redis-sentinel": 999},
    pdbs={"soundspan-backend": 1, "soundspan-frontend": 1},
    read_only=True,
    replicated="soundspan-backend",
    rolling="soundspan-frontend",
)

FORMS = (WHATSTHECRAIC, SOUNDCORE, STARTER, ALL_IN_ONE, INDIVIDUAL, HA)


def drawn(seed: int, full: bool) -> list[Form]:
    """Every form, or one form each of two systems that the seed picks."""
    if full:
        return list(FORMS)
    chance = random.Random(seed)
    systems = chance.sample(sorted({form.system for form in FORMS}), 2)
    return [chance.choice([form for form in FORMS if form.system == system]) for system in systems]
