"""The environment on a surrogate by the names that specifications of earlier versions hold."""

from functools import partial

from nases_env.env import NASESEnv
from nases_env.vector_env import NASESVectorEnv

SurrogateEnv = partial(NASESEnv, surrogate="digits")
SurrogateVectorEnv = partial(NASESVectorEnv, surrogate="digits")
