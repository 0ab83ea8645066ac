"""What a cluster does with our children, in memory: Deployments, Jobs, pods with their gate, EndpointSlices.

Not an imitation of Kubernetes to be believed, but a driver for scenarios: each `step` lets every controller do one
thing. The real ones run in tests/e2e.
"""

import json
from dataclasses import dataclass, field
from datetime import timedelta

from declared_conditions import assert_declared
from operator_settings import settings
from simulated_controllers import collect_garbage, count_pods, list_endpoints, run_deployment, run_job
from simulated_objects import KEY
from simulated_pods import SimulatedPods

from embedding_operator.kube.gateway import (
    CONFIG_MAP,
    DEPLOYMENT,
    EMBEDDING_MODEL,
    ENDPOINT_SLICE,
    JOB,
    POD,
    SERVICE,
    Gateway,
)
from embedding_operator.reconcile.outcome import Outcome
from embedding_operator.reconcile.reconcile import reconcile
from embedding_operator.settings import Settings

MAX_STEPS = 60


@dataclass
class SimulatedCluster(SimulatedPods):
    """Its objects, its pods, and the time in which the operator and the controllers act on them.

    Without `lists_endpoints` EndpointSlices stay as they are. Without `makes_job_pods` a quota refuses those of Jobs.
    """

    settings: Settings = field(default_factory=settings)
    lists_endpoints: bool = True
    makes_job_pods: bool = True

    async def reconcile(self, *, gateway: Gateway | None = None) -> Outcome:
        outcome = await reconcile(
            KEY, gateway=gateway or self.gateway, facts=self.facts, settings=self.settings, clock=lambda: self.now
        )
        assert_declared(self.find(EMBEDDING_MODEL, KEY.name) or {})
        return outcome

    async def settle(self, *, gateway: Gateway | None = None) -> Outcome:
        """Reconcile and let controllers work until nothing changes; then prove that reconciling writes nothing."""
        outcome = await self.reconcile(gateway=gateway)
        before = self.picture()
        for _ in range(MAX_STEPS):
            self.step()
            outcome = await self.reconcile(gateway=gateway)
            after = self.picture()
            if after == before:
                break
            before = after
        else:
            raise AssertionError("the cluster does not come to rest")
        self.gateway.forget_calls()
        await self.reconcile(gateway=gateway)
        assert self.gateway.writes == (), "a reconcile of a settled world writes"
        return outcome

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def picture(self) -> str:
        """Everything that there is, as text: equal pictures, equal worlds."""
        kinds = (EMBEDDING_MODEL, DEPLOYMENT, SERVICE, CONFIG_MAP, POD, JOB, ENDPOINT_SLICE)
        objects = [item for kind in kinds for item in self.all(kind)]
        facts = [
            sorted(self.facts.reports),
            sorted(map(str, self.facts.trial_reports)),
            sorted(self.facts.retired_pods),
            self._list_verdicts(),
        ]
        return json.dumps([objects, facts, sorted(map(str, self.facts.trials_requested))], sort_keys=True)

    def step(self) -> None:
        self.pass_time(1)
        collect_garbage(self)
        self.answer_audits()
        for deployment in self.all(DEPLOYMENT):
            run_deployment(self, deployment)
        for job in self.all(JOB) if self.makes_job_pods else ():
            run_job(self, job)
        for pod in self.pods():
            self.run_pod(pod)
        for deployment in self.all(DEPLOYMENT):
            count_pods(self, deployment)
        self.answer_trials()
        self.facts.retired_pods |= self.facts.retirements_requested
        if self.lists_endpoints:
            list_endpoints(self)

    def _list_verdicts(self) -> list[str]:
        audits = ((pod, self.facts.audits.get(pod["metadata"]["uid"])) for pod in self.pods())
        return [f"{pod['metadata']['name']} {audit.case_set} {audit.state}" for pod, audit in audits if audit]
