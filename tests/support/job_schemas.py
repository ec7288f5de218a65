"""What Slurm and Kubernetes take: options of sbatch, and schemas of resources."""

# Of the options in sbatch's manual (Slurm 24.05), those that a script for training may have.
SBATCH = set(
    "account array begin chdir comment constraint cores-per-socket cpus-per-gpu "
    "cpus-per-task dependency distribution error exclude exclusive export gpu-bind "
    "gpu-freq gpus gpus-per-node gpus-per-task gres hint hold input job-name "
    "kill-on-invalid-dep licenses mail-type mail-user mem mem-per-cpu mem-per-gpu nice "
    "no-kill no-requeue nodelist nodes ntasks ntasks-per-node open-mode output overcommit "
    "partition power priority qos requeue reservation signal switches threads-per-core "
    "time time-min tmp wait".split()
)


def an_object(**properties):
    required = [name for name in properties if not name.endswith("_")]
    properties = {name.rstrip("_"): kind for name, kind in properties.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def list_of(kind, most=128):
    return {"type": "array", "items": kind, "minItems": 1, "maxItems": most}


# The parts in use of two resource definitions of Kubeflow Trainer 2.2, and of JobSet's and
# Kubernetes' within them; nothing else may be in a file.
#   kubeflow/trainer: manifests/base/crds/trainer.kubeflow.org_trainjobs.yaml,
#   trainer.kubeflow.org_trainingruntimes.yaml
TEXT, COUNT = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}
LIMIT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
NAME = {"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
API = {"const": "trainer.kubeflow.org/v1alpha1"}
RESOURCES = {
    "type": "object",
    "propertyNames": {"enum": ["cpu", "memory", "nvidia.com/gpu"]},
    "additionalProperties": {
        "anyOf": [
            COUNT,
            {"type": "string", "pattern": r"^\d+(\.\d+)?(m|[kKMGT]i?)?$"},
        ]
    },
}
POD = an_object(
    restartPolicy={"enum": ["Never", "OnFailure"]},
    containers=list_of(
        an_object(
            name={"const": "node"},  # Trainer adds its variables to this one
            image=TEXT,
            volumeMounts=list_of(an_object(name=TEXT, mountPath=TEXT)),
        )
    ),
    volumes=list_of(an_object(name=TEXT, persistentVolumeClaim=an_object(claimName=TEXT))),
)  # fmt: skip
TRAINER_LABEL = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
JOB = an_object(
    metadata=an_object(labels={"const": TRAINER_LABEL}),
    spec=an_object(backoffLimit=LIMIT, template=an_object(spec=POD)),
)
RUNTIME = an_object(
    apiVersion=API,
    kind={"const": "TrainingRuntime"},
    metadata=an_object(
        name=NAME, labels={"const": {"trainer.kubeflow.org/framework": "jax"}}
    ),
    spec=an_object(
        mlPolicy=an_object(numNodes=COUNT, jax=an_object()),
        template=an_object(
            spec=an_object(
                failurePolicy=an_object(maxRestarts=LIMIT),
                replicatedJobs=list_of(an_object(name=NAME, template=JOB)),
            )
        ),
    ),
)
FROM = an_object(
    name=TEXT, valueFrom=an_object(secretKeyRef=an_object(name=NAME, key=TEXT))
)
PODS = an_object(matchLabels=an_object(**{"jobset.sigs.k8s.io/jobset-name": NAME}))
NETWORK_POLICY = an_object(
    apiVersion={"const": "networking.k8s.io/v1"},
    kind={"const": "NetworkPolicy"},
    metadata=an_object(name=NAME),
    spec=an_object(
        podSelector=PODS,
        policyTypes={"const": ["Ingress"]},
        ingress=list_of(an_object(**{"from": list_of(an_object(podSelector=PODS))}), 1),
    ),
)
TRAIN_JOB = an_object(
    apiVersion=API,
    kind={"const": "TrainJob"},
    metadata=an_object(name=NAME),
    spec=an_object(
        runtimeRef=an_object(kind={"const": "TrainingRuntime"}, name=NAME),
        activeDeadlineSeconds=COUNT,
        trainer=an_object(
            numNodes=COUNT,
            image={"type": "string", "maxLength": 500},
            command=list_of({"type": "string", "maxLength": 65536}),
            env=list_of(
                {"anyOf": [an_object(name=TEXT, value={"type": "string"}), FROM]}
            ),
            resourcesPerNode=an_object(requests=RESOURCES, limits=RESOURCES),
        ),
    ),
)
