"""Write docs/values.md from the schema and the examples below.   python tools/values_docs.py [--check]

With --check nothing is written; exit status 1 when the page is out of date. The unit tests render every example.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/values.md"
EXAMPLES: dict[str, str] = {
    "A service": """
name: hello
services:
  web:
    image: registry.example.net/hello:1.2.0
    port: 8080
    health: /health
    resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 200m, memory: 128Mi}}
""",
    "A database, a migration and a service that waits for it": """
name: shop
image: {registry: registry.example.net/shop, tag: 2.0.1}
secrets:
  database: {generate: {PASSWORD: 32}} # made on the first run, kept in the cluster
data_services:
  postgres:
    image: docker.io/library/postgres:16
    user: shop
    database: shop
    password: {secret: database, key: PASSWORD}
    storage: {size: 10Gi}
    resources: {requests: {cpu: 250m, memory: 512Mi}, limits: {cpu: "1", memory: 1Gi}}
migrations:
  schema:
    service: api # its image, environment and secrets
    command: [shopctl, migrate]
    resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 500m, memory: 128Mi}}
services:
  api:
    port: 8000
    probes: {liveness: /live, readiness: /ready, startup: {path: /ready, budget: 120}}
    wait_for: {postgres: 120}
    env:
      PASSWORD: {secret: database, key: PASSWORD}
      DATABASE_URL: postgresql://shop:$(PASSWORD)@postgres:5432/shop
    pdb: {min_available: 1}
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: 500m, memory: 256Mi}}
""",
    "More replicas, routes and certificates": """
name: shop
profile: custom
services:
  web:
    image: registry.example.net/web:1.0.0
    port: 3000
    health: /health
    autoscaling: {min: 2, max: 6, cpu: 70}
    topology_spread: true
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: 500m, memory: 256Mi}}
ingress:
  class: traefik
  tls: {provider: cert_manager, issuer: letsencrypt, acme: {email: ops@example.net}}
  rate_limit: {average: 50, burst: 100}
  hosts:
    - {host: shop.example.net, paths: [{service: web, port: 3000}]}
network_policy: {enabled: true}
""",
    "Secrets from a manager, a field of Kubernetes, a rule knowingly broken": """
name: legacy
secrets:
  keys: {provider: external, store: {name: platform}, data: {API_TOKEN: prod/api_token}}
services:
  all:
    image: registry.example.net/legacy:7.1.0
    port: 80
    health: /
    secrets: keys
    security: {run_as_root: true}
    override: {Deployment: {spec: {template: {spec: {dnsPolicy: Default}}}}}
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: "1", memory: 1Gi}}
waivers:
  - {rule: security.root, target: services.all, reason: the image starts its parts as root, owner: ops}
""",
}
INTRO = """\
# Values of an application

Try it without a cluster, with your inventory:

```
ansible-playbook -i inventories/songnodes holdfast.k3s.render -e app_render_dir=/tmp/k8s
```

`app_values` describes an application; `app_values_overlay` is laid over it: mappings merge, lists replace, `null` removes a key.
Everything is checked against the schema and the rules before anything is applied, and every problem is named at once, with
its place, its value and the way out. The word in brackets at the end of a message is the rule; a waiver names it, with reason
and owner. The first line of each example inventory gives editors completion.

A `mode` picks one of `modes`, whose fragment is laid over the values; the overlay wins over both. The order of applying is:
namespace, account, configuration and secrets, claims and policies, data services (ready), migrations and jobs before, services
by their `order` (ready), jobs after, cron jobs, routes.
"""


def shape(node: dict[str, Any]) -> str:
    """The type of a schema node in a word or two."""
    if "$ref" in node:
        return node["$ref"].rpartition("/")[2].replace("_", " ")
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "anyOf" in node:
        return "several forms"
    kind = node.get("type", "object")
    if kind == "array":
        return f"list of {shape(node.get('items', {}))}"
    if kind == "object" and isinstance(node.get("additionalProperties"), dict):
        return "mapping of names"
    return " or ".join(kind) if isinstance(kind, list) else kind


def rows(properties: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """A table row per key."""
    lines = ["| key | form | meaning |", "| --- | --- | --- |"]
    for key, node in properties.items():
        text = node.get("description") or definitions.get(shape(node).replace(" ", "_"), {}).get(
            "description", ""
        )
        default = f" Default: `{json.dumps(node['default'])}`." if "default" in node else ""
        cell = f"{text.rstrip('.')}.{default}" if text else default.strip()
        lines.append(f"| `{key}` | {shape(node)} | {cell.replace('|', chr(92) + '|')} |")
    return lines


def members(node: dict[str, Any]) -> dict[str, Any]:
    """The properties of an object node, also of one among alternatives or below a mapping."""
    for candidate in (node, node.get("additionalProperties"), node.get("items"), *node.get("anyOf", [])):
        if isinstance(candidate, dict):
            found: dict[str, Any] = candidate.get("properties") or (
                members(candidate) if candidate is not node else {}
            )
            if found:
                return found
    return {}


def page() -> str:
    """The whole page."""
    schema = json.loads((ROOT / "schemas/app.schema.json").read_text())
    definitions = schema["$defs"]
    lines = [INTRO, "## Examples", ""]
    for title, text in EXAMPLES.items():
        lines += [f"### {title}", "", "```yaml", text.strip(), "```", ""]
    lines += ["## Keys", "", *rows(schema["properties"], definitions), ""]
    for key, node in schema["properties"].items():
        inner = members(node)
        if inner:
            lines += [f"### `{key}`", "", *rows(inner, definitions), ""]
    for name, node in definitions.items():
        inner = members(node)
        if inner:
            lines += [f"### {name.replace('_', ' ')}", "", *rows(inner, definitions), ""]
    return "\n".join([*lines, "Generated from `schemas/app.schema.json` by `tools/values_docs.py`.", ""])


def main() -> int:
    text = page()
    if "--check" in sys.argv:
        if not PAGE.exists() or PAGE.read_text() != text:
            print("docs/values.md is out of date: run tools/values_docs.py")
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
