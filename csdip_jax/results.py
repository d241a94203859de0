from csdip_jax.files import *  # noqa
from csdip_jax.io.lines import *  # noqa
from csdip_jax.runs.workdir import *  # noqa
