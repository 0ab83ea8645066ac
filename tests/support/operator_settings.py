"""The operator's settings as an administrator may have given them."""

from embedding_model.sources.access import Access
from embedding_operator.settings import Hub, RuntimeProfile, Settings, UpgradePolicy


def settings(*, image: str = "runtime:1", policy: UpgradePolicy = UpgradePolicy.KEEP) -> Settings:
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}
    profiles = {
        "cpu": RuntimeProfile(image=image, reference_image="reference:1", resources=resources),
        "cuda": RuntimeProfile(
            image=f"{image}-cuda", reference_image="reference:1-cuda", device="cuda", resources=resources
        ),
    }
    mirrors = {"corp": Hub(Access(endpoint="https://mirror.example.internal", redirect_hosts=()))}
    return Settings(profiles=profiles, mirrors=mirrors, upgrade_policy=policy, identity="test-operator")
