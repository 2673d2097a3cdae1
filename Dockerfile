# The page on one's own machine, with a GPU where there is one: see README, "With Docker".
FROM python:3.12-slim

RUN useradd --create-home --uid 1000 focusmae
WORKDIR /home/focusmae/app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY --chown=focusmae . .

USER focusmae
# Downloaded weights go to the cache below; mount it to keep them.
RUN mkdir -p /home/focusmae/.cache/huggingface
ENV GRADIO_SERVER_NAME=0.0.0.0 HF_HOME=/home/focusmae/.cache/huggingface PYTHONUNBUFFERED=1
EXPOSE 7860
CMD ["python", "app.py"]
