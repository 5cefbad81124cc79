# The CPU installation, nothing else: docker build -t ofa . && mkdir -p outputs &&
# docker run --rm -u "$(id -u)" -v "$PWD/outputs:/outputs" ofa experiment=quickstart
# Versions are those of requirements.lock. Models and data come in by -v and model.path, task.data_dir.
FROM python:3.11-slim-bookworm

# libgomp: Paddle's and scikit-learn's threads. git: the commit that a run notes, where a checkout is mounted.
RUN apt-get update && apt-get install -y --no-install-recommends git libgomp1 && rm -rf /var/lib/apt/lists/*

WORKDIR /ofa
COPY requirements.lock .
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements.lock
COPY pyproject.toml README.md LICENSE main.py ./
COPY conf conf
COPY ofa ofa
RUN pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation .

# Not root: what is written under /outputs can be read and removed. Anyone may write there, so that -u "$(id -u)" can.
RUN useradd --create-home ofa && install -d -m 1777 /outputs /cache
USER ofa
ENV OFA_OUTPUT=/outputs OFA_CACHE=/cache
WORKDIR /home/ofa
ENTRYPOINT ["ofa"]
CMD ["--help"]
