"""Does with OpenAI's Python client what people do with it, and prints what came of it as JSON.

openai_client.py BASE_URL SEED
"""

import base64
import hashlib
import json
import sys
import urllib.request

import openai

base_url, seed = sys.argv[1], int(sys.argv[2])
client = openai.OpenAI(base_url=base_url, api_key="unused", timeout=100, max_retries=2)
prompt = "a panda on a blue background"
steps = {"seed": seed, "steps": 2}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


plain = client.images.generate(prompt=prompt, n=2, size="128x128", extra_body=steps)
by_url = client.images.generate(
    prompt=prompt, size="128x128", response_format="url", extra_body=steps
)
with urllib.request.urlopen(by_url.data[0].url) as answer:
    fetched = answer.read()

events = []
stream = client.images.generate(
    prompt=prompt,
    size="128x128",
    stream=True,
    partial_images=1,
    extra_body=steps,
)
for event in stream:
    events.append({"type": event.type, "digest": digest(base64.b64decode(event.b64_json))})

edited = client.images.edit(
    image=("fox.png", base64.b64decode(plain.data[0].b64_json)),
    prompt=prompt,
    size="128x128",
    extra_body={"seed": seed, "strength": 0.5, "steps": 2},
)

errors = {}
for name, fields in {"n": {"n": 9}, "model": {"model": "midjourney"}}.items():
    try:
        client.images.generate(prompt=prompt, **fields)
    except openai.APIStatusError as error:
        errors[name] = {
            "type": type(error).__name__,
            "status": error.status_code,
            "code": error.code,
            "param": error.param,
            "has_request_id": bool(error.request_id),
        }

print(
    json.dumps(
        {
            "models": [model.id for model in client.models.list()],
            "model": client.models.retrieve("demo").id,
            "plain": [digest(base64.b64decode(image.b64_json)) for image in plain.data],
            "size": plain.size,
            "url": digest(fetched),
            "events": events,
            "edited": digest(base64.b64decode(edited.data[0].b64_json)),
            "errors": errors,
        }
    )
)
