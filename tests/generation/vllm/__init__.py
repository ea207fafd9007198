"""Generation with vLLM: in the usual suite with a stand-in, and on a real engine where there is one."""
