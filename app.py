"""FocusMAE's page: ``python app.py``, then open the address it prints. Works without a network."""

import logging
import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported: it asks at import
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads give their core away

from focusmae.ui.page import build, launch_options, queue  # noqa: E402
from focusmae.ui.run import warm_up  # noqa: E402

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)

demo = queue(build())  # Spaces and `gradio app.py` look for this name

if __name__ == "__main__":
    demo.launch(prevent_thread_lock=True, **launch_options())
    warm_up()  # after the page answers, so that nobody waits for networks to see it
    demo.block_thread()
