"""The environments: the task record, the vector env and its one-row view, the registry and the checker."""

if __name__ != "textenv.envs":
    raise ImportError("This folder is textenv/envs; import it as textenv.envs.")
