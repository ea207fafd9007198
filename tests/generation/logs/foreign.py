"""Logs as lm-eval and Inspect write them, made by hand in the shape of their own files."""

from __future__ import annotations

import hashlib
import json
import zipfile

DATE = "2026-08-21T10-56-54.123456"
QUESTIONS = ("What is 2 + 2?", "What is 3 + 4?", "What is 5 + 5?", "What is 6 + 1?")


def lm_eval_line(doc, question, texts, scores, *, template="Q: {}\nA:", filter="none"):
    """One line of `samples_TASK_DATE.jsonl` of a `generate_until` task."""
    document = {"question": question, "answer": "4"}
    content = json.dumps(document, indent=2, ensure_ascii=False)
    return {
        "doc_id": doc,
        "doc": document,
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": template.format(question), "arg_1": {"until": ["\n\n"]}}},
        "resps": [list(texts)],
        "filtered_resps": [texts[0]],
        "filter": filter,
        "metrics": list(scores),
        "doc_hash": hashlib.sha256(content.encode()).hexdigest(),
        "prompt_hash": hashlib.sha256(question.encode()).hexdigest(),
        "target_hash": hashlib.sha256(b"4").hexdigest(),
        **scores,
    }


def write_lm_eval(folder, model, texts, scores, *, task="sums", date=DATE, **options):
    """The folder that `lm_eval --log_samples --output_path` leaves for a model, with one task."""
    file = folder / model.replace("/", "__") / f"samples_{task}_{date}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        lm_eval_line(doc, question, own, {"exact_match": score}, **options)
        for doc, (question, own, score) in enumerate(zip(QUESTIONS, texts, scores, strict=True))
    ]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def inspect_sample(name, epoch, question, text, grade, *, stop="stop", content=None):
    """One sample of an Inspect log; `content` replaces the assistant's plain text."""
    message = {"id": "m1", "content": content or text, "source": "generate", "role": "assistant", "model": "small"}
    return {
        "id": name,
        "epoch": epoch,
        "input": question,
        "target": "4",
        "messages": [{"role": "user", "content": question, "source": "input"}, message],
        "output": {
            "model": "small",
            "choices": [{"message": message, "stop_reason": stop}],
            "completion": text,
            "usage": {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7},
            "time": 0.1,
        },
        "scores": {"match": {"value": grade, "answer": text}},
        "metadata": {},
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }


def inspect_header(model, task="sums", **arguments):
    """What stands in `header.json`, and in a whole log beside its samples."""
    return {
        "version": 2,
        "status": "success",
        "eval": {
            "run_id": "nnS4q9qsuCrCzsBcQLnBLA",
            "created": "2026-08-22T12:01:19-04:00",
            "task": task,
            "task_id": "dPiJifoWeEQBrfWsAopzWr",
            "task_version": 0,
            "dataset": {"name": task, "samples": 4, "sample_ids": [1, 2, 3, 4], "shuffled": False},
            "model": model,
            "model_args": arguments,
            "config": {"epochs": 2},
            "packages": {"inspect_ai": "0.3.200"},
        },
        "plan": {"name": "plan", "steps": [{"solver": "generate", "params": {}}], "config": {}},
        "results": {"total_samples": 4, "completed_samples": 4, "scores": []},
        "stats": {"started_at": "2026-08-22T12:01:19-04:00", "completed_at": "2026-08-22T12:01:20-04:00"},
    }


def write_inspect(file, model, samples, task="sums", **arguments):
    """A log as `.eval` (a zip with one JSON a sample) or `.json`, by the name of the file."""
    header = inspect_header(model, task, **arguments)
    if file.suffix == ".json":
        file.write_text(json.dumps({**header, "samples": samples}), encoding="utf-8")
        return file
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_journal/start.json", json.dumps({key: header[key] for key in ("version", "eval", "plan")}))
        for sample in samples:
            archive.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
        archive.writestr("summaries.json", "[]")
        archive.writestr("reductions.json", "[]")
        archive.writestr("header.json", json.dumps(header))
    return file
