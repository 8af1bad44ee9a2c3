"""How the page looks; its hash stands in the Content-Security-Policy."""

# Nothing here needs escaping: what stands in <style> is not unescaped by browsers.
STYLE = """
body{margin:0;font:14px/1.45 system-ui,sans-serif;color:#1f2328;background:#f6f8fa}
header{padding:.8rem 1.5rem;color:#fff}
header.ok{background:#1a7f37}header.warning{background:#9a6700}header.critical{background:#cf222e}
header h1{margin:0;font-size:1.7rem}header p{margin:0;opacity:.9}.name{font-weight:400}
main{padding:0 1.5rem 2rem;max-width:78rem}
section{background:#fff;border:1px solid #d1d9e0;border-radius:6px;margin:1rem 0;padding:.6rem 1rem}
h2{font-size:1rem;margin:.2rem 0 .5rem}p{margin:.3rem 0}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600;color:#59636e}
th,td{padding:.2rem .8rem .2rem 0;border-bottom:1px solid #eff2f5;vertical-align:top}
td.number{text-align:right;font-variant-numeric:tabular-nums}
td{white-space:nowrap}td.long{overflow-wrap:anywhere;white-space:normal}
.findings{list-style:none;margin:0;padding:0}
.findings li{padding:.25rem .6rem;margin:.2rem 0;border-left:5px solid;overflow-wrap:anywhere}
li.critical{border-color:#cf222e;background:#ffebe9}
li.warning{border-color:#bf8700;background:#fff8c5}
td.critical,tr.critical td.mark{color:#cf222e;font-weight:700}
td.warning,tr.warning td.mark{color:#9a6700;font-weight:700}
td.ok,tr.ok td.mark{color:#1a7f37}
tr.critical{background:#ffebe9}tr.warning{background:#fff8c5}
.box{background:#cf222e;color:#fff;border-radius:6px;padding:.6rem 1rem;overflow-wrap:anywhere}
.clock{font-size:2rem;font-weight:700;margin:0}
.bar{width:9rem;height:.6rem;vertical-align:middle}
.whole{fill:#d1d9e0}rect.ok{fill:#1a7f37}rect.warning{fill:#bf8700}rect.critical{fill:#cf222e}
.hour{width:100%;height:auto;display:block}
.requests{fill:#0969da}.refusals{fill:#cf222e}.closed{fill:#818b98}.line{stroke:#818b98}
.legend span{margin-right:1.2rem}
.key::before{content:"";display:inline-block;width:.8rem;height:.8rem;margin-right:.4rem}
.key.requests::before{background:#0969da}.key.refusals::before{background:#cf222e}
.key.closed::before{background:#818b98}
small{color:#59636e}
"""
