"""Take out of the built pages what no page uses: half of what they would load.

The theme's icon script alone weighs more than a chapter with its figures, and its
style sheet draws the same icons from a font. So, after the build: the script goes,
style rules for classes that occur nowhere go, the icon fonts keep the icons that are
left. Thebe (live kernels from a server) is not offered, so its script goes as well; so
does MathJax on a page without formulas.
"""

import re
from io import BytesIO
from pathlib import Path

import tinycss2
from fontTools import subset
from fontTools.ttLib import TTFont

# Style sheets that come whole from the theme and its companions. The older theme, for
# Python 3.10, has files of its own for Bootstrap and the icons.
STYLES = (
    "styles/pydata-sphinx-theme.css",
    "styles/bootstrap.css",
    "vendor/fontawesome/*/css/all.min.css",
    "sphinx-design.min.css",
    "mystnb.*.css",
)
FONTS = "vendor/fontawesome/**/webfonts/*.ttf"
FONT_SOURCES = re.compile(
    r'url\(([^)]*)\.woff2\) format\("woff2"\),\s*url\(\1\.ttf\) format\("truetype"\)'
)
ICON_SCRIPTS = ("**/fontawesome.js", "vendor/fontawesome/*/js/all.min.js")
ICON_LOADERS = re.compile(
    r"\s*<script[^>]*/(?:fontawesome\.js|fontawesome/[^>]*/all\.min\.js)[^>]*></script>"
    r"|\s*<link[^>]*preload[^>]*/fontawesome/[^>]*>"
)
ICON = re.compile("[\\ue000-\\uf8ff]")  # the private area, where icon fonts draw


def _drop_scripts(app, pagename, templatename, context, doctree):
    """Load no live kernels, and MathJax only where there is something to set."""
    body = context.get("body", "")
    unused = ["thebe"]
    if 'class="math' not in body:
        unused += [app.config.mathjax_path, "window.MathJax"]

    def is_unused(file):
        code = (getattr(file, "attributes", None) or {}).get("body") or ""
        return any(
            name in str(getattr(file, "filename", file)) or name in code
            for name in unused
        )

    for key in ("script_files", "css_files"):
        context[key] = [file for file in context[key] if not is_unused(file)]


def _styles(static):
    return [path for pattern in STYLES for path in static.glob(pattern)]


def used_words(site):
    """Every word in pages and the theme's scripts: what is not among them is no class in use."""
    scripts = set(site.glob("_static/**/*.js")) - set(
        site.glob("_static/vendor/**/*.js")
    )
    words = set()
    for path in [*site.rglob("*.html"), *scripts]:
        words.update(re.findall(r"[\w-]+", path.read_text(encoding="utf-8")))
    return words


def prune(css, words):
    """Return `css` without the rules whose classes do not occur among `words`."""
    return "".join(
        _rules_in_use(tinycss2.parse_stylesheet(css, skip_comments=True), words)
    )


def _rules_in_use(rules, words):
    for rule in rules:
        if rule.type == "qualified-rule":
            kept = [
                tinycss2.serialize(selector)
                for selector in _selectors(rule.prelude)
                if _classes(selector) <= words
            ]
            if kept:
                yield f"{','.join(kept)}{{{tinycss2.serialize(rule.content)}}}"
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            inner = tinycss2.parse_rule_list(rule.content, skip_comments=True)
            body = "".join(_rules_in_use(inner, words))
            if body:
                yield f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{body}}}"
        else:
            yield rule.serialize()


def _selectors(prelude):
    """Split a rule's prelude at its commas; those within parentheses are not tokens here."""
    selectors = [[]]
    for token in prelude:
        if token == ",":
            selectors.append([])
        else:
            selectors[-1].append(token)
    return selectors


def _classes(selector):
    """The classes a selector asks for; not those within :not(...), which it may forbid."""
    return {
        name.value
        for dot, name in zip(selector, selector[1:])
        if dot == "." and name.type == "ident"
    }


def subset_font(source, characters):
    """Return the font file `source` (TrueType) as WOFF with only `characters`."""
    font = TTFont(source, recalcTimestamp=False)  # the same bytes at each build
    job = subset.Subsetter(subset.Options(layout_features=[]))
    job.populate(unicodes=characters)
    job.subset(font)
    font.flavor = "woff"
    out = BytesIO()
    font.save(out)
    return out.getvalue()


def _forget_lean_files(app, builder):
    """Remove what the last build made lean, so that Sphinx copies it whole again."""
    for path in _styles(Path(app.outdir, "_static")):
        path.unlink()


def _make_lean(app, exception):
    site = Path(app.outdir)
    static = site / "_static"
    if exception or app.builder.format != "html" or not static.is_dir():
        return
    # Templates and maps of the theme's own workshop, copied along with its files.
    for pattern in ("*.html", "**/*.map", *ICON_SCRIPTS):
        for path in static.glob(pattern):
            path.unlink()
    for page in site.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        lean = ICON_LOADERS.sub("", html)
        if lean != html:
            page.write_text(lean, encoding="utf-8")

    words, icons = used_words(site), set()
    for path in _styles(static):
        css = prune(path.read_text(encoding="utf-8"), words)
        icons.update(map(ord, ICON.findall(css)))
        path.write_text(
            FONT_SOURCES.sub(r'url(\1.woff) format("woff")', css), encoding="utf-8"
        )
    for font in static.glob(FONTS):
        font.with_suffix(".woff").write_bytes(subset_font(font, icons))
        font.with_suffix(".woff2").unlink(missing_ok=True)
        font.unlink()


def setup(app):
    app.connect("html-page-context", _drop_scripts, priority=900)
    app.connect("write-started", _forget_lean_files)
    app.connect("build-finished", _make_lean)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
