# The page on one's own machine, with a GPU where there is one: see README, "With Docker".
FROM python:3.12-slim

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .

# Downloaded weights go to /weights; mount it to keep them. Whoever comes in from outside is nobody in particular.
RUN useradd --uid 1000 focusmae && mkdir /weights && chown focusmae /weights
USER focusmae
ENV GRADIO_SERVER_NAME=0.0.0.0 HF_HOME=/weights PYTHONUNBUFFERED=1
EXPOSE 7860
CMD ["python", "app.py"]
