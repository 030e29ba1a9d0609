"""From facts to verdicts and a plan: the smallest thing first, pods last."""

from __future__ import annotations

from typing import Any

from ansible_collections.holdfast.k3s.plugins.module_utils.core.plan import Action
from ansible_collections.holdfast.k3s.plugins.module_utils.registry.doctor import Verdict, examine

SHARED = ("ping_error", "auth_error", "deviation", "repositories", "disk_full")


def examined(facts: dict[str, Any], image: str, message: str) -> Verdict:
    """The doctor's verdict on an image, with everything that the facts know about it."""
    about = facts["images"].get(image, {})
    shared = {key: facts[key] for key in SHARED}
    if not about.get("local"):
        shared.update(ping_error="", auth_error="", deviation="")
    return examine(image, message, {**shared, **about})


def lacking(about: dict[str, Any]) -> bool:
    """Whether the registry was seen not to serve one of its own images, for whatever reason."""
    wrong = about.get("manifest") is False or any(
        about.get(key) for key in ("missing_blobs", "error", "auth_error")
    )
    return bool(about.get("local")) and wrong


def verdicts(facts: dict[str, Any]) -> dict[str, Verdict]:
    """image → verdict, for every image that a pod waits for or that the registry lacks."""
    found: dict[str, Verdict] = {}
    for one in facts["failing"]:
        verdict = examined(facts, one["image"], f"{one['reason']}: {one['message']}")
        # the longer message explains more than a bare "back-off"
        if one["image"] not in found or found[one["image"]].cause == "UNKNOWN":
            found[one["image"]] = verdict
    for image, about in facts["images"].items():
        if image not in found and lacking(about):
            found[image] = examined(facts, image, "")
    return found


def plan(facts: dict[str, Any], *, retry_pods: bool = True, restart_k3s: bool = True) -> list[Action]:
    """The actions: registry up, hosts.toml right, content back, then the pods that wait."""
    found = verdicts(facts)
    kinds = {verdict.automatic for verdict in found.values()}
    actions = []
    down = bool(facts["ping_error"])
    lost = any(about.get("missing_blobs") for about in facts["images"].values())
    if down or lost:
        why = (
            f"it does not answer: {facts['ping_error']}"
            if down
            else "its cache still knows blobs that are gone"
        )
        if facts["runner"]["kind"] != "nobody" or down:
            actions.append(Action("restart_registry", facts["runner"]["name"] or "registry", why))
    if facts["deviation"] and restart_k3s:
        actions.append(Action("rewrite_hosts", facts["registry"], facts["deviation"], risk="medium"))
    if "push_image" in kinds:
        for image, verdict in sorted(found.items()):
            if verdict.automatic == "push_image":
                about = facts["images"][image]
                params = {"source": about["available"], "blobs": about.get("missing_blobs", [])}
                actions.append(Action("push_image", image, verdict.why, params=params))
    if retry_pods:
        actions += retries(facts, found, actions)
    return actions


# A new pod would fail as the old one did until a person has done something.
FOR_A_PERSON = frozenset(
    ("ARCH", "AUTH", "BAD-NAME", "CLOCK", "DISK-FULL", "DNS", "HOSTS-TOML", "NEVER-PULL", "RATE-LIMIT", "TLS",
     "TLS-SCHEME")
)  # fmt: skip


def curable(verdict: Verdict, about: dict[str, Any], steps: list[Action]) -> bool:
    """Whether an image can be had: a step of this plan heals it, or it is whole and nothing else stands in the way."""
    if verdict.automatic in {step.kind for step in steps}:
        return True
    whole = about.get("local") and about.get("manifest") and not lacking(about)
    return bool(whole) and verdict.cause not in FOR_A_PERSON


def step_name(step: Action) -> str:
    """How a step is named where another one needs it."""
    return f"{step.kind} {step.target}"


def needs(image: str, steps: list[Action]) -> list[str]:
    """The steps without which a new pod could not have the image either."""
    return [step_name(step) for step in steps if step.kind != "push_image" or step.target == image]


def retries(facts: dict[str, Any], found: dict[str, Verdict], steps: list[Action]) -> list[Action]:
    """Delete the pods that wait in back-off although their image can be had again; only where an owner recreates them.

    steps: what the plan does before.
    """
    actions = []
    seen: set[str] = set()
    for one in facts["failing"]:
        verdict = found[one["image"]]
        about = facts["images"].get(one["image"], {})
        if not curable(verdict, about, steps) or not one["owner"] or one["uid"] in seen:
            continue
        seen.add(one["uid"])
        actions.append(
            Action(
                "retry_pod",
                f"{one['namespace']}/{one['pod']}",
                f"waits in back-off for {one['image']}; its {one['owner']} makes a new one",
                destructive=True,
                params={
                    **{key: one[key] for key in ("namespace", "pod", "uid", "image")},
                    "needs": needs(one["image"], steps),
                },
            )
        )
    return actions


def report(facts: dict[str, Any]) -> dict[str, Any]:
    """What registry_info returns and registry_recover adds to its result."""
    found = verdicts(facts)
    missing = sorted(image for image, about in facts["images"].items() if lacking(about))
    return {
        "url": facts["url"],
        "runner": {key: facts["runner"][key] for key in ("kind", "name", "state")},
        "answers": not facts["ping_error"],
        "error": facts["ping_error"] or facts["auth_error"],
        "repositories": facts["repositories"],
        "needed": sorted(image for image, about in facts["images"].items() if about.get("local")),
        "missing": missing,
        "deviation": facts["deviation"],
        "failing": [
            {
                "pod": f"{one['namespace']}/{one['pod']}",
                "image": one["image"],
                "owner": one["owner"],
                "reason": one["reason"],
                **found[one["image"]].as_dict(),
            }
            for one in facts["failing"]
        ],
        "images": {image: verdict.as_dict() for image, verdict in found.items()},
        "slow_pulls": facts["slow"],
        "cluster_error": facts["cluster_error"],
    }


def healthy(facts: dict[str, Any]) -> bool:
    """The registry answers to us, has what is needed, is reached as configured, and no pod waits for one of its images.

    Without the cluster's word nobody knows what is needed and who waits.
    """
    waiting = [one for one in facts["failing"] if facts["images"].get(one["image"], {}).get("local")]
    unknown = facts["ping_error"] or facts["auth_error"] or facts["cluster_error"]
    return not (unknown or facts["deviation"] or report(facts)["missing"] or waiting)
