"""`textenv.check`: the contract that every environment keeps, for third parties as for ourselves."""

import contextlib
import copy
import dataclasses
import io
import pickle
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from textenv.envs.frames import BOXES
from textenv.envs.registry import task_of
from textenv.envs.rules import Rules
from textenv.envs.task import Task
from textenv.errors import ActionError, ContractError, OrderError, TextenvError
from textenv.rewards.loading import load_reward
from textenv.rewards.protocol import accepted, call_reward, reward_name

_STEPS = 3  # episodes, at most, that each check plays
_FINAL_KEYS = {"prompt", "prompt_index", "completion", "score", "finish_reason", "length"}


def check(id: str, **arguments: Any) -> None:
    """Test that an environment keeps textenv's contract; silence means that it does.

    Asks first what a newcomer gets wrong: that prompts, stop rule, action mask, reward and judge do what they should, that
    the reward scores a text alike every time, alone and in a batch, and leaves its arguments as they are, and that all
    pickle. Runs then the checkers of Gymnasium and Stable-Baselines3 with warnings as errors; the layout of observations, ends
    and payments; equal seeds give equal episodes; rows of the vector env equal single envs in all three autoreset modes;
    pickling; refusal of impossible actions and of steps before a reset or after an end.

    Args:
        id: of a registered environment.
        **arguments: of `gymnasium.make`, such as `reward`.

    Raises:
        ContractError: naming what is broken.
        RewardError: the reward or the judge fails, or returns no numbers.
        ArgumentError: nothing is registered under the id, or its task cannot be used.
    """
    task_of(id)
    env: Any = gymnasium.make(id, **arguments)
    _check_reward(id, env.unwrapped.rules)
    _check_fields(id, env.unwrapped.rules.task)
    _check_libraries(id, arguments)
    _check_episodes(id, arguments)
    _check_determinism(id, arguments)
    for mode in AutoresetMode:
        check_rows(id, mode, **arguments)
    _check_pickling(id, arguments)
    _check_refusals(id, arguments)


def _require(condition: Any, id: str, message: str) -> None:
    if not condition:
        raise ContractError(f"{id}: {message}")


def _play_rules(id: str, rules: Rules) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Write several texts by the rules alone, the first as short as it may be, the others at random.

    Returns:
        Observations (n, P+T), lengths (n,) and prompt indices (n,).
    """
    generator, n = np.random.default_rng(0), _STEPS + 1
    lengths, prompt_index = np.zeros(n, dtype=np.int64), np.arange(n) % len(rules.prompts.texts)
    observations = np.full((n, rules.width), -1, dtype=np.int32)
    observations[:, : rules.prompt_columns] = rules.prompts.tokens[prompt_index]
    for row in range(n):
        ended, here = False, slice(row, row + 1)
        while not ended:
            mask = rules.action_masks(observations[here], lengths[here])[0]
            token = rules.contract.end if row == 0 and mask[rules.contract.end] else generator.choice(np.flatnonzero(mask))
            observations[row, rules.prompt_columns + lengths[row]] = token
            lengths[row] += 1
            try:
                ended = bool(rules.outcome(observations[here], lengths[here], prompt_index[here]).ended[0])
            except TextenvError:
                raise
            except Exception as error:
                text = rules.completions(observations[here], lengths[here])[0]
                raise ContractError(f"{id}: its stop rule raises {type(error).__name__} on {text!r}: {error}.") from error
    return observations, lengths, prompt_index


def _check_reward(id: str, rules: Rules) -> None:
    played = _play_rules(id, rules)
    prompts, texts, columns = rules.asked(rules.completions(*played[:2]), played[2])
    offered = {**columns, "prompts": prompts, "completions": texts, "pieces": [[text] for text in texts]}
    _check_untouched(id, rules.reward, offered)
    if rules.task.judge is not None:
        judge = load_reward(rules.task.judge)
        call_reward(judge, prompts, texts, columns)
        _check_untouched(id, judge, offered)
    name = reward_name(rules.reward)
    together, again = (rules.outcome(*played).scores for _ in range(2))
    observations, lengths, prompt_index = played
    ones = [slice(row, row + 1) for row in range(len(texts))]
    alone = [rules.outcome(observations[one], lengths[one], prompt_index[one]).scores[0] for one in ones]
    for text, first, second, single in zip(texts, together, again, alone, strict=True):
        _require(
            first == second,
            id,
            f"the reward {name} scored {text!r} {first:g} and then {second:g}; it must score a text alike every time, so let it"
            " draw no random numbers and remember nothing.",
        )
        _require(
            np.isclose(first, single, rtol=1e-5, atol=1e-5),
            id,
            f"the reward {name} scored {text!r} {single:g} alone and {first:g} among {len(texts)} texts; the score of a text must not"
            " depend on the others.",
        )


def _check_untouched(id: str, reward: Callable[..., Any], offered: Mapping[str, Any]) -> None:
    arguments = accepted(reward, copy.deepcopy(dict(offered)))
    before = {name: pickle.dumps(values) for name, values in arguments.items()}
    reward(**arguments)
    for name, values in arguments.items():
        changed = pickle.dumps(values) != before[name]
        _require(not changed, id, f"{reward_name(reward)} changes the {name} that it is given; let it work on a copy.")


def _check_fields(id: str, task: Task) -> None:
    for field in dataclasses.fields(task):
        try:
            pickle.dumps(getattr(task, field.name))
        except (pickle.PicklingError, AttributeError, TypeError) as problem:
            raise ContractError(
                f"{id}: it must pickle, to be sent to other processes, but its {field.name} does not, as a lambda or a function within"
                f" another does not; write it with def at the top of a module: {problem}."
            ) from problem


def _check_libraries(id: str, arguments: dict[str, Any]) -> None:
    from stable_baselines3.common.env_checker import check_env as check_env_sb3

    for checker in (check_env, check_env_sb3):
        env = gymnasium.make(id, **arguments)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):  # they render, also for humans
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message=BOXES)  # which letters the machine has is no matter of the environment
            try:
                checker(env.unwrapped)
            except (Warning, AssertionError, ValueError, gymnasium.error.Error) as problem:
                raise ContractError(f"{id}: {checker.__module__} says: {problem}") from problem
        env.close()


def _random_action(env: Any, generator: np.random.Generator) -> np.int64:
    return np.int64(generator.choice(np.flatnonzero(env.unwrapped.action_masks())))


def _check_episodes(id: str, arguments: dict[str, Any]) -> None:
    env: Any = gymnasium.make(id, **arguments)
    rules, generator = env.unwrapped.rules, np.random.default_rng(0)
    shaped = env.unwrapped.kl_shaping is not None
    for episode in range(_STEPS):
        observation, info = env.reset(seed=episode)
        start = rules.prompt_columns
        _require((observation[start:] == -1).all(), id, "the response columns must be -1 after a reset.")
        _require((np.diff((observation[:start] >= 0).astype(int)) >= 0).all(), id, "the prompt must be left-padded.")
        _require(rules.prompts.texts[info["prompt_index"]] == info["prompt"], id, 'info["prompt"] must be the prompt of that index.')
        paid, ended, length = 0.0, False, 0
        while not ended:
            _require(length < rules.response_columns, id, "the last response column must end the episode.")
            action = _random_action(env, generator)
            after, reward, ended, truncated, info = env.step(action)
            expected = observation.copy()
            expected[start + length] = action
            _require(np.array_equal(after, expected), id, "a step must write its token into the next response column, and nothing else.")
            _require(not truncated, id, "an end of the text is terminated, never truncated.")
            by_token = rules.potential is not None
            _require(ended or shaped or by_token or reward == 0, id, "the score must be paid by the last step.")
            observation, length, paid = after, length + 1, paid + reward
        _require(set(info) >= _FINAL_KEYS, id, f"the last info must have {sorted(_FINAL_KEYS - set(info))}.")
        _require(info["length"] == length, id, 'info["length"] must count the response tokens.')
        penalty = rules.task.missing_eos_penalty if info["finish_reason"] == "length" else 0.0
        _require(shaped or np.isclose(paid, info["score"] - penalty), id, "the episode must pay its score less the penalty.")


def _play(id: str, arguments: dict[str, Any], seed: int) -> list[Any]:
    env: Any = gymnasium.make(id, **arguments)
    generator, seen = np.random.default_rng(seed), list[Any]()
    observation, info = env.reset(seed=seed)
    seen.append((observation.tolist(), info["prompt"]))
    for _ in range(_STEPS * env.unwrapped.rules.response_columns):
        observation, reward, ended, _, _ = env.step(_random_action(env, generator))
        seen.append((observation.tolist(), reward, ended))
        if ended:
            observation, info = env.reset()
            seen.append((observation.tolist(), info["prompt"]))
    return seen


def _check_determinism(id: str, arguments: dict[str, Any]) -> None:
    _require(_play(id, arguments, 7) == _play(id, arguments, 7), id, "equal seeds and actions must give equal episodes and scores.")


def check_rows(id: str, mode: AutoresetMode, *, num_envs: int = 3, seed: int = 11, **arguments: Any) -> None:
    """Test that row i of a vector env seeded s equals a single env seeded s + i: observations to the bit, scores to 1e-5.

    Args:
        id: of a registered environment.
        mode: of the vector env.
        num_envs: rows.
        seed: s.
        **arguments: of `gymnasium.make`.

    Raises:
        ContractError: they differ.
    """
    envs: Any = gymnasium.make_vec(id, num_envs=num_envs, autoreset_mode=mode, **arguments)
    singles: list[Any] = [gymnasium.make(id, **arguments) for _ in range(num_envs)]
    generator = np.random.default_rng(seed)
    observations, _ = envs.reset(seed=seed)
    expected = np.stack([env.reset(seed=seed + row)[0] for row, env in enumerate(singles)])
    waiting = np.zeros(num_envs, dtype=np.bool_)
    where = f"with autoreset {mode.name}, a row of the vector env differs from the single env"
    _require(np.array_equal(observations, expected), id, f"{where} after the first reset.")
    for _ in range(_STEPS * envs.unwrapped.rules.response_columns):
        actions = np.array([_random_action(env, generator) for env in singles], dtype=np.int64)
        observations, rewards, terminated, _, infos = envs.step(actions)
        for row, env in enumerate(singles):
            reward, ended, info = 0.0, False, dict[str, Any]()
            if waiting[row]:
                expected[row], _ = env.reset()
            else:
                expected[row], reward, ended, _, info = env.step(actions[row])
            _require(ended == terminated[row] and np.isclose(reward, rewards[row], rtol=0, atol=1e-5), id, f"{where} in its end or reward.")
            if ended:
                same_step = mode is AutoresetMode.SAME_STEP
                final = infos["final_info"] if same_step else infos
                last = infos["final_obs"][row] if same_step else observations[row]
                _require(np.array_equal(last, expected[row]), id, f"{where} in its last observation.")
                _require(final["completion"][row] == info["completion"], id, f"{where} in its completion.")
                if same_step:
                    expected[row], _ = env.reset()
            waiting[row] = ended and mode is AutoresetMode.NEXT_STEP
        if mode is AutoresetMode.DISABLED and terminated.any():
            observations, _ = envs.reset(options={"reset_mask": terminated})
            for row in np.flatnonzero(terminated).tolist():
                expected[row], _ = singles[row].reset()
        _require(np.array_equal(observations, expected), id, f"{where} in its observation.")


def _check_pickling(id: str, arguments: dict[str, Any]) -> None:
    env: Any = gymnasium.make(id, **arguments).unwrapped
    env.reset(seed=3)
    try:
        twin = pickle.loads(pickle.dumps(env))
    except (pickle.PicklingError, AttributeError, TypeError) as problem:
        raise ContractError(f"{id}: it must pickle: {problem}") from problem
    action = _random_action(env, np.random.default_rng(0))
    same: list[tuple[NDArray[np.int32], float]] = [made.step(action)[:2] for made in (env, twin)]
    _require(np.array_equal(same[0][0], same[1][0]) and same[0][1] == same[1][1], id, "a pickled copy must go on as the original does.")


def _check_refusals(id: str, arguments: dict[str, Any]) -> None:
    env: Any = gymnasium.make(id, **arguments).unwrapped
    vocabulary = env.rules.vocabulary

    def refuses(error: type[Exception], action: Any) -> bool:
        try:
            env.step(action)
        except error:
            return True
        return False

    _require(refuses(OrderError, np.int64(0)), id, "a step before the first reset must raise OrderError.")
    env.reset(seed=0)
    for action in (vocabulary, -1, 0.5, [0, 0]):
        _require(refuses(ActionError, action), id, f"the action {action!r} must raise ActionError.")
    for _ in range(env.rules.response_columns):
        if env.step(_random_action(env, np.random.default_rng(0)))[2]:
            break
    _require(refuses(OrderError, np.int64(0)), id, "a step after the end must raise OrderError.")
