"""A model on a PersistentVolumeClaim: read by a Job, stored, served read-only."""

import pytest
from model_samples import inspection, manifest, volume_spec
from operator_settings import settings
from simulated_cluster import KEY, SimulatedCluster

from embedding_model.ports import JobReport, JobState
from embedding_model.refusal import Reason, RefusalDocument
from embedding_model.resolved import FileEntry, InspectionResult, Manifest, Origin, SourceKind
from embedding_operator.api import names
from embedding_operator.kube.gateway import CONFIG_MAP, DEPLOYMENT, JOB, PERSISTENT_VOLUME_CLAIM, POD
from embedding_operator.reconcile.outcome import Wait

CLAIM = Origin(kind=SourceKind.PERSISTENT_VOLUME_CLAIM, claim="models", path="/tiny")
DONE = JobReport(
    state=JobState.DONE, result=InspectionResult(origin=CLAIM, manifest=manifest(), inspection=inspection())
)
REFUSED = JobReport(
    state=JobState.REFUSED, refusal=RefusalDocument(reason=Reason.MISSING_FILE, message="config.json is missing")
)


@pytest.fixture
def claim(cluster: SimulatedCluster) -> None:
    cluster.gateway.put(
        {
            "apiVersion": "v1",
            "kind": PERSISTENT_VOLUME_CLAIM.kind,
            "metadata": {"namespace": KEY.namespace, "name": "models"},
        }
    )


async def _read(cluster: SimulatedCluster, report: JobReport) -> None:
    await cluster.reconcile()
    cluster.step()
    (pod,) = cluster.pods()
    cluster.facts.job_reports[pod["metadata"]["uid"]] = report


@pytest.mark.usefixtures("claim")
async def test_a_volume_is_read_once_by_a_job_and_then_served_read_only(cluster: SimulatedCluster) -> None:
    cluster.create_model(volume_spec())
    await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "InspectingVolume")
    (job,) = cluster.all(JOB)
    pod = job["spec"]["template"]["spec"]
    assert job["spec"]["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert pod["activeDeadlineSeconds"] > 0
    assert pod["containers"][0]["args"] == [
        "resolve",
        *("--origin", '{"claim":"models","kind":"PersistentVolumeClaim","path":"/tiny"}'),
        *("--declared", "{}", "--conversion", "Never"),
        *("--keys", "/etc/embedding/keys"),
        *("--log-format", "json"),
        *("--folder", "/models/tiny"),
    ]
    mounts = {item["name"]: item for item in pod["containers"][0]["volumeMounts"]}
    assert mounts["model"] == {"name": "model", "mountPath": "/models", "readOnly": True}
    await _read(cluster, DONE)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")
    assert cluster.all(JOB) == []
    assert cluster.status()["model"]["source"] == "pvc/models:/tiny"
    served = cluster.all(DEPLOYMENT)[0]["spec"]["template"]["spec"]
    assert "initContainers" not in served
    volume = next(item for item in served["volumes"] if item["name"] == "model")
    assert volume["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}


@pytest.mark.usefixtures("claim")
async def test_the_job_stays_until_its_answer_is_stored(cluster: SimulatedCluster) -> None:
    cluster.create_model(volume_spec())
    await _read(cluster, DONE)
    await cluster.reconcile()
    assert any("-model-" in item["metadata"]["name"] for item in cluster.all(CONFIG_MAP))
    assert len(cluster.all(JOB)) == 1
    await cluster.reconcile()
    assert cluster.all(JOB) == []


async def test_a_missing_claim_is_named_and_heals_when_it_is_created(cluster: SimulatedCluster) -> None:
    cluster.create_model(volume_spec())
    assert isinstance(await cluster.settle(), Wait)
    assert cluster.says("Reconciling") == ("True", "VolumeNotFound")
    assert '"models"' in cluster.condition("Reconciling")["message"]  # type: ignore[index]
    cluster.gateway.put(
        {
            "apiVersion": "v1",
            "kind": PERSISTENT_VOLUME_CLAIM.kind,
            "metadata": {"namespace": KEY.namespace, "name": "models"},
        }
    )
    await _read(cluster, DONE)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.usefixtures("claim")
async def test_a_refused_volume_stalls_and_is_read_again_after_a_while(cluster: SimulatedCluster) -> None:
    cluster.create_model(volume_spec())
    await _read(cluster, REFUSED)
    outcome = await cluster.settle()
    assert isinstance(outcome, Wait)
    assert cluster.says("Stalled") == ("True", "MissingFile")
    assert "claim models, path /tiny" in cluster.condition("Stalled")["message"]  # type: ignore[index]
    first = cluster.all(JOB)[0]["metadata"]["uid"]
    cluster.pass_time(outcome.after_seconds)
    await cluster.reconcile()
    assert cluster.all(JOB) == []
    await cluster.reconcile()
    assert cluster.all(JOB)[0]["metadata"]["uid"] != first
    assert cluster.says("Stalled") == ("True", "MissingFile"), "the verdict stands until the volume is read again"
    await _read(cluster, DONE)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.usefixtures("claim")
async def test_a_job_that_cannot_start_is_replaced_by_a_corrected_one(cluster: SimulatedCluster) -> None:
    cluster.trouble = lambda pod: {"phase": "Pending"}
    cluster.create_model(volume_spec(pod={"nodeSelector": {"disk": "nowhere"}}))
    await cluster.settle()
    first = cluster.all(JOB)[0]["metadata"]["name"]
    cluster.edit_spec(lambda spec: spec.pop("pod"))
    await cluster.settle()
    (job,) = cluster.all(JOB)
    assert job["metadata"]["name"] != first
    assert "nodeSelector" not in job["spec"]["template"]["spec"]


@pytest.mark.usefixtures("claim")
@pytest.mark.parametrize("report", [None, DONE, REFUSED])
async def test_a_job_that_reads_or_has_answered_is_not_started_over(
    cluster: SimulatedCluster, report: JobReport | None
) -> None:
    cluster.create_model(volume_spec())
    await cluster.reconcile()
    cluster.step()
    first = cluster.all(JOB)[0]["metadata"]["uid"]
    if report:
        cluster.facts.job_reports[cluster.pods()[0]["metadata"]["uid"]] = report
    cluster.settings = settings(image="runtime:2")
    await cluster.reconcile()
    assert [job["metadata"]["uid"] for job in cluster.all(JOB)] == [first]


@pytest.mark.usefixtures("claim")
@pytest.mark.parametrize("end", ["Failed", "Complete"])
async def test_the_pause_after_a_job_counts_from_its_end(cluster: SimulatedCluster, end: str) -> None:
    """A drain ends the pod well, so that the Job completes before anybody read its answer."""
    cluster.create_model(volume_spec())
    await cluster.reconcile()
    job = cluster.all(JOB)[0]["metadata"]
    cluster.pass_time(3600)
    ended = {"conditions": [{"type": end, "status": "True", "lastTransitionTime": f"{cluster.now:%Y-%m-%dT%H:%M:%SZ}"}]}
    cluster.gateway.edit(JOB, lambda item: item.update(status=ended), namespace=KEY.namespace, name=job["name"])
    assert await cluster.reconcile() == Wait(60.0, "PodFailed")
    cluster.pass_time(60)
    await cluster.reconcile()
    await cluster.reconcile()
    assert cluster.all(JOB)[0]["metadata"]["uid"] != job["uid"]


@pytest.mark.usefixtures("claim")
async def test_a_job_that_died_unread_is_made_again_after_a_pause(cluster: SimulatedCluster) -> None:
    cluster.create_model(volume_spec())
    await cluster.reconcile()
    job = cluster.all(JOB)[0]["metadata"]
    failed = {"conditions": [{"type": "Failed", "status": "True", "message": "Job has reached the backoff limit"}]}
    cluster.gateway.edit(JOB, lambda item: item.update(status=failed), namespace=KEY.namespace, name=job["name"])
    outcome = await cluster.reconcile()
    assert isinstance(outcome, Wait)
    assert cluster.says("Reconciling") == ("True", "PodFailed")
    assert cluster.all(JOB)[0]["metadata"]["uid"] == job["uid"], "not at once"
    cluster.pass_time(outcome.after_seconds)
    await cluster.reconcile()
    await cluster.reconcile()
    assert cluster.all(JOB)[0]["metadata"]["uid"] != job["uid"]
    assert cluster.all(POD) == []


def _report(files: Manifest) -> JobReport:
    result = InspectionResult(origin=CLAIM, manifest=files, inspection=inspection())
    return JobReport(state=JobState.DONE, result=result)


async def _read_anew(cluster: SimulatedCluster, report: JobReport) -> None:
    """The Job that an edit leads to finds `report`."""
    await cluster.reconcile()
    cluster.step()
    (pod,) = (item for item in cluster.pods() if item["metadata"]["labels"][names.LABEL_COMPONENT] == "inspect")
    cluster.facts.job_reports[pod["metadata"]["uid"]] = report


EXTRA = FileEntry(path="modules.json", size=9, sha256="d" * 64)
CHANGES = {
    "config.json": manifest(seed="b"),
    "modules.json": Manifest(files=(*manifest().files, EXTRA)),
    "tokenizer.json": Manifest(files=manifest().files[:2]),
}


@pytest.mark.usefixtures("claim")
@pytest.mark.parametrize("changed", CHANGES)
async def test_an_edit_of_the_task_accepts_no_other_files(cluster: SimulatedCluster, changed: str) -> None:
    """Nobody asked for them: a file that was changed, that came, or that went is refused by its name."""
    cluster.create_model(volume_spec())
    await _read(cluster, DONE)
    await cluster.settle()
    served, pods = cluster.selected_space(), cluster.ready_pods()
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    await _read_anew(cluster, _report(CHANGES[changed]))
    assert isinstance(await cluster.settle(), Wait)
    assert cluster.says("Stalled") == ("True", "HashMismatch")
    message = cluster.condition("Stalled")["message"]  # type: ignore[index]
    assert message.startswith(f"claim models, path /tiny: {changed} is not what was resolved")
    assert names.ANNOTATION_REQUESTED_AT in message
    assert cluster.selected_space() == served
    assert pods <= cluster.ready_pods()
    cluster.request_anew("now")
    await _read_anew(cluster, _report(CHANGES[changed]))
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.usefixtures("claim")
async def test_an_edit_of_the_task_serves_the_same_files_on(cluster: SimulatedCluster) -> None:
    cluster.create_model(volume_spec())
    await _read(cluster, DONE)
    await cluster.settle()
    cluster.edit_spec(lambda spec: spec.update(task="Embedding"))
    await _read_anew(cluster, DONE)
    await cluster.settle()
    assert cluster.says("Ready") == ("True", "Serving")


@pytest.mark.usefixtures("claim")
@pytest.mark.parametrize(("report", "condition"), [(DONE, "Ready"), (_report(manifest(seed="b")), "Stalled")])
async def test_a_volume_that_has_to_be_read_again_must_hold_what_the_status_says(
    cluster: SimulatedCluster, report: JobReport, condition: str
) -> None:
    cluster.create_model(volume_spec())
    await _read(cluster, DONE)
    await cluster.settle()
    space = cluster.selected_space()
    (lost,) = [item for item in cluster.all(CONFIG_MAP) if "-model-" in item["metadata"]["name"]]
    cluster.gateway.remove(CONFIG_MAP, namespace="search", name=lost["metadata"]["name"])
    await _read_anew(cluster, report)
    await cluster.settle()
    assert cluster.says(condition) == ("True", "Serving" if condition == "Ready" else "HashMismatch")
    assert cluster.selected_space() == space


@pytest.mark.usefixtures("claim")
async def test_a_cache_that_a_job_does_not_use_is_not_waited_for(cluster: SimulatedCluster) -> None:
    cluster.create_model(volume_spec(cache={"persistentVolumeClaim": {"claimName": "nowhere"}}))
    await cluster.reconcile()
    await cluster.reconcile()
    assert cluster.says("Reconciling") == ("True", "InspectingVolume")
