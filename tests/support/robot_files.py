"""Small recordings of robots: LeRobot data sets of both versions, and HDF5 files.

The brightness of a frame tells its number in the whole data set, and the numbers beside
it tell it too: row t of the actions is ``(n, -n)``, of the states ``(n, 2 n, 3 n)``.
"""

import io
import json

import av
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from support.video_files import coded, write_video

FPS = 25
TOP, WRIST = "observation.images.top", "observation.images.wrist"
_V2 = {
    "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
    "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/"
    "episode_{episode_index:06d}.mp4",
}
_V3 = {
    "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/"
    "file-{file_index:03d}.mp4",
}
HAS_AV1 = "libsvtav1" in av.codecs_available and "libdav1d" in av.codecs_available


def firsts_of(lengths):
    """The number of each episode's first frame."""
    return np.cumsum([0, *lengths])[:-1].tolist()


def actions_of(first, length):
    n = np.arange(first, first + length, dtype=np.float32)
    return np.stack([n, -n], 1)


def states_of(first, length):
    return np.arange(first, first + length, dtype=np.float32)[:, None] * [1, 2, 3]


def write_lerobot(
    root, version, lengths=(9, 8, 7), *, cameras=(TOP,), kind="video", codec="libx264"
):
    """A data set of the published form.

    Version 3 has two files of either kind: the first of all episodes but the last.
    """
    firsts = firsts_of(lengths)
    write = _write_v2 if version.startswith("v2") else _write_v3
    write(root, lengths, firsts, cameras, kind, codec)
    axes = ["height", "width", "channels"]
    features = {
        **{
            key: {"dtype": kind, "shape": [32, 48, 3], "names": axes} for key in cameras
        },
        "action": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
        "observation.state": {"dtype": "float32", "shape": [3], "names": None},
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        "frame_index": {"dtype": "int64", "shape": [1], "names": None},
        "episode_index": {"dtype": "int64", "shape": [1], "names": None},
        "index": {"dtype": "int64", "shape": [1], "names": None},
        "task_index": {"dtype": "int64", "shape": [1], "names": None},
    }
    info = {
        "codebase_version": version,
        "robot_type": "so100",
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "total_tasks": 1,
        "chunks_size": 2 if version.startswith("v2") else 1000,
        "fps": FPS,
        "splits": {"train": f"0:{len(lengths)}"},
        **(_V2 if version.startswith("v2") else _V3),
        "features": features,
    }
    put_json(root / "meta" / "info.json", info)
    return root


def _write_v2(root, lengths, firsts, cameras, kind, codec):
    lines = []
    for e, (length, first) in enumerate(zip(lengths, firsts, strict=True)):
        names = {"episode_chunk": e // 2, "episode_index": e}
        table = rows(e, length, first, cameras if kind == "image" else ())
        put_table(root / _V2["data_path"].format(**names), table)
        for key in cameras if kind == "video" else ():
            path = root / _V2["video_path"].format(video_key=key, **names)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, coded(length, first=first), codec)
        lines.append(json.dumps({"episode_index": e, "tasks": ["a"], "length": length}))
    (root / "meta").mkdir(exist_ok=True)
    (root / "meta" / "episodes.jsonl").write_text("\n".join(lines) + "\n")


def _write_v3(root, lengths, firsts, cameras, kind, codec):
    entries, last = [], len(lengths) - 1
    for file, of in enumerate([range(last), [last]]):
        place = {"chunk_index": 0, "file_index": file}
        pictured = cameras if kind == "image" else ()
        tables = [rows(e, lengths[e], firsts[e], pictured) for e in of]
        put_table(root / _V3["data_path"].format(**place), pa.concat_tables(tables))
        begin, count = firsts[of[0]], sum(lengths[e] for e in of)
        for key in cameras if kind == "video" else ():
            path = root / _V3["video_path"].format(video_key=key, **place)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_video(path, coded(count, first=begin), codec)
        for e in of:
            start = (firsts[e] - begin) / FPS
            films = {
                f"videos/{key}/{name}": value
                for key in (cameras if kind == "video" else ())
                for name, value in (
                    *place.items(),
                    ("from_timestamp", start),
                    ("to_timestamp", start + lengths[e] / FPS),
                )
            }
            entries.append(
                {
                    "episode_index": e,
                    "tasks": ["a"],
                    "length": lengths[e],
                    "data/chunk_index": 0,
                    "data/file_index": file,
                    "dataset_from_index": firsts[e],
                    "dataset_to_index": firsts[e] + lengths[e],
                    **films,
                    "stats/action/mean": [0.0, 0.0],
                }
            )
    path = root / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    put_table(path, pa.Table.from_pylist(entries))


def rows(episode, length, first, cameras=()):
    """The table of an episode."""
    n = np.arange(length)
    columns = {
        "action": pa.FixedSizeListArray.from_arrays(
            actions_of(first, length).ravel(), 2
        ),
        "observation.state": pa.array(states_of(first, length).tolist()),
        "timestamp": pa.array((n / FPS).astype(np.float32)),
        "frame_index": pa.array(n),
        "episode_index": pa.array(np.full(length, episode)),
        "index": pa.array(n + first),
        "task_index": pa.array(np.zeros(length, np.int64)),
    }
    for key in cameras:
        columns[key] = pa.array(
            [
                {"bytes": png(frame), "path": f"frame-{t:06d}.png"}
                for t, frame in enumerate(coded(length, first=first))
            ]
        )
    features = {
        **dict.fromkeys(columns, _value("int64")),
        "timestamp": _value("float32"),
        "action": {"feature": _value("float32"), "length": 2, "_type": "Sequence"},
        "observation.state": {"feature": _value("float32"), "_type": "Sequence"},
        **{key: {"_type": "Image"} for key in cameras},
    }
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table(columns).replace_schema_metadata(about)


def _value(dtype):
    return {"dtype": dtype, "_type": "Value"}


def png(frame):
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    return file.getvalue()


def put_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def put_table(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def edit_info(root, **changes):
    """Change entries of ``meta/info.json``; a value of None takes one away."""
    path = root / "meta" / "info.json"
    info = {**json.loads(path.read_text()), **changes}
    put_json(path, {key: value for key, value in info.items() if value is not None})


def edit_table(path, **columns):
    """Put other values into columns of a Parquet file; None takes one away."""
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.drop_columns([name])
        if values is not None:
            table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)


def write_robomimic(path, lengths=(9, 8, 7)):
    """A file of robomimic's layout, compressed as its images are."""
    with h5py.File(path, "w") as file:
        for e, first in enumerate(firsts_of(lengths)):
            length = lengths[e]
            demo = file.create_group(f"data/demo_{e}")
            demo.attrs["num_samples"] = length
            demo["actions"] = actions_of(first, length).astype(np.float64)
            demo["states"] = np.zeros((length, 5))
            obs, states = demo.create_group("obs"), states_of(first, length)
            obs["robot0_eef_pos"] = states[:, :2]
            obs["robot0_gripper_qpos"] = states[:, 2:]
            obs["object"] = np.zeros((length, 10))
            frames = coded(length, first=first)
            obs.create_dataset("agentview_image", data=frames, compression="gzip")
            obs["robot0_eye_in_hand_image"] = frames[:, :, ::-1].transpose(0, 3, 1, 2)
    return path


def write_aloha(root, lengths=(9, 8, 7), *, encoded=False):
    """Files of ALOHA's layout, with raw frames or JPEG rows padded to one length."""
    root.mkdir(parents=True, exist_ok=True)
    for e, first in enumerate(firsts_of(lengths)):
        with h5py.File(root / f"episode_{e}.hdf5", "w") as file:
            file.attrs.update(sim=False, compress=encoded)
            file["action"] = actions_of(first, lengths[e])
            file["observations/qpos"] = states_of(first, lengths[e])
            file["observations/qvel"] = np.zeros((lengths[e], 3))
            frames = coded(lengths[e], first=first)
            for camera in ("cam_high", "cam_low"):
                data = _padded(frames) if encoded else frames
                file[f"observations/images/{camera}"] = data
    return root


def _padded(frames):
    files = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=95)
        files.append(np.frombuffer(file.getvalue(), np.uint8))
    width = max(map(len, files)) + 3
    return np.stack([np.pad(data, (0, width - len(data))) for data in files])
