"""LiteLLM fetches a list of prices when it is imported; here nothing leaves the machine."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
