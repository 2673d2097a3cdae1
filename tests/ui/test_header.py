"""The README's section as the page shows it."""

from focusmae.ui.header import README, section_html

TEXT = """# Title

## Does it help?

Words with `code`, **weight**, a [link](https://example.org) and <b>no</b> markup
over two lines.

| a | b |
|---|---|
| 1 | `x` |

- one
  and more
- two

### Smaller

## Next

not this
"""


def test_blocks_become_html_and_links_their_words():
    html = section_html(TEXT)
    words = "Words with <code>code</code>, <b>weight</b>, a link and &lt;b&gt;no&lt;/b&gt; markup over two lines."
    assert f"<p>{words}</p>" in html
    assert '<th scope="col">a</th>' in html and "<td>1</td><td><code>x</code></td>" in html
    assert "<ul><li>one and more</li><li>two</li></ul>" in html and "<h3>Smaller</h3>" in html
    assert "not this" not in html and "example.org" not in html
    assert section_html("# Nothing here") == ""


def test_our_readme_has_that_section_with_a_table():
    html = section_html(README.read_text("utf-8"))
    assert "<table>" in html and "random" in html
