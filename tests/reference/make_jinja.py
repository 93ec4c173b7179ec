"""Small Jinja templates and what transformers' own environment makes of them.

    python3 make_jinja.py ../tokenizer/records/jinja.jsonl

A line is {"template", "variables", "rendered", "generation": [[begin, end], ...] in bytes}, or "rendered": null where jinja2 fails. Made with
jinja2 3.1.6 as transformers 5 sets it up (trim_blocks, lstrip_blocks, loop controls, generation blocks, its own tojson).
"""

import json
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

USER = {"role": "user", "content": "Hi there"}
TALK = [{"role": "system", "content": " Be brief.\n"}, USER, {"role": "assistant", "content": "Hello!"}, {"role": "user", "content": "Bye"}]
TOOL = {"type": "function", "function": {"name": "weather", "description": "It's \"the\" weather <in> & around é",
                                         "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}},
                                                        "required": ["city"]}}}
VARIABLES = {"messages": TALK, "tools": [TOOL], "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", "none_value": None,
             "number": 7, "real": 2.5, "text": "Grüße, straße  ÉCOLE\tß", "words": ["b", "A", "c", "a", "B"], "empty": [], "empty_text": "",
             "nested": {"a": {"b": [1, 2, {"c": "deep"}]}, "items": "mine", "1": "one"}, "numbers": [3, 1, 2, 3, -4],
             "people": [{"name": "Zoe", "age": 30}, {"name": "adam", "age": 25}, {"name": "Bob", "age": 30}, {"name": "eve"}],
             "markup": "<b>&\"'</b>", "lines": "one\ntwo\n\nthree"}

# Each expression is printed between brackets.
EXPRESSIONS = """
1 + 2 * 3
(1 + 2) * 3
2 ** 3 ** 2
-2 ** 2
- 2 | abs
7 // 2
-7 // 2
7 // -2
7 % 3
-7 % 3
7 % -3
-7.5 % 2
7.5 // 2
7 / 2
6 / 2
1 / 3
1e3
1.5e-7
1e16
123456789012345680.0
0.1 + 0.2
100000.0
1e22
2 ** -1
2 ** 0.5
true + 1
1 ~ 2
'a' ~ 1.0 ~ none ~ true ~ [1, 'x'] ~ {'k': 'v'}
'a' + 'b'
'ab' * 3
3 * 'ab'
[1] * 2
[1, 2] + [3]
(1, 2) + (3,)
'a' 'b' "c"
'tab\\there\\nnew \\'q\\' \\x41 \\u00e9 \\U0001F600 \\q \\101 \\\\'
"it's"
[1, 2.0, 'three', none, true, undefined_name is defined]
()
(1,)
(1, 2)
1,
1, 2
{}
{'a': 1, 'b': [1, 2], "c": {'d': none}, 1: 2, none: 3, true: 4}
['a\\'b', "a\\"b", 'a\\'b"c', 'new\\nline\\ttab\\\\', 'é\\x00\\x7f\\u200b\\xa0\\u3000😀']
1 == 1.0
1 == true
'a' == 'a'
[1, 2] == [1, 2]
(1, 2) == [1, 2]
{'a': 1, 'b': 2} == {'b': 2, 'a': 1}
1 < 2 < 3
1 < 3 < 2
1 < 2 > 1
'a' < 'b'
'Z' < 'a'
[1, 2] < [1, 3]
1 < 2.5
not 1 == 2
not true or true
not (true or true)
1 and 2
0 and 2
0 or 'x'
none or empty or 'last'
1 if true else 2
1 if false else 2
1 if false
(1 if false) is defined
1 if false else 2 if false else 3
'a' in 'abc'
'd' not in 'abc'
not 'a' in 'abc'
'' in 'abc'
1 in [1, 2]
'role' in messages[0]
'nope' in messages[0]
1 in (1, 2)
'x' in empty
'x' in missing
messages[0].role
messages[0]['role']
messages[-1].content
messages[10] is defined
messages[10]
messages[0].nope
messages[0]['nope'] is defined
nested.a.b[2].c
nested['a']['b'][2]['c']
nested.items is string
nested['items']
nested['1']
nested.a.b.0
nested.a.keys() | list
nested.a.items() | list
nested.a.values() | list
nested.get('a').get('zz')
nested.get('zz', 'fallback')
messages[0].get('role')
none_value.x is defined
number.x is defined
text.x is defined
text[0]
text[-1]
text[2]
text[100] is defined
text[1:4]
text[::-1]
text[-3:]
text[:-3]
text[::2]
text[5:2]
words[1:]
words[:-1]
words[::-1]
words[::2]
words[-2:]
words[10:]
words[3:0:-2]
(1, 2, 3)[1:]
text | length
text | upper
text | lower
text | title
text | capitalize
text.title()
text.upper()
text.capitalize()
"they're bill's friends-of (mine) [x] <y> a1b" | title
"they're bill's friends-of (mine) [x] a1b".title()
'  x  ' | trim
'xxaxx' | trim('x')
'--a-b--'.strip('-')
'  a '.lstrip() ~ '|'
'  a '.rstrip() ~ '|'
'éaé'.strip('é')
'\\u3000a\\xa0'.strip()
'a,b,,c'.split(',')
'a,b,,c'.split(',', 1)
'a,b,,c'.rsplit(',', 1)
'a,b,,c'.rsplit(',')
' a  b c '.split()
' a  b c '.split(none, 1)
'aXbXc'.split('X')[-1]
''.split()
''.split(',')
lines.splitlines()
lines.splitlines(true)
'abcabc'.replace('b', 'X')
'abcabc'.replace('b', 'X', 1)
'abc'.replace('', '-')
'abcabc' | replace('a', '')
number | replace(7, 8)
'abc'.startswith('ab')
'abc'.startswith(('x', 'a'))
'abc'.endswith('bc')
'abc'.find('c')
'üabc'.find('c')
'abc'.find('z')
'banana'.count('an')
', '.join(words)
'abc'.removeprefix('a').removesuffix('c')
' \\n'.isspace()
words | join
words | join(', ')
numbers | join('-')
people | join(', ', attribute='name')
'abc' | join('.')
words | first
words | last
empty | first is defined
empty | last
text | first
words | sort
words | sort(reverse=true)
words | sort(case_sensitive=true)
numbers | sort
people | sort(attribute='name') | map(attribute='name') | list
people[:3] | sort(attribute='age') | map(attribute='name') | list
words | unique | list
numbers | unique | list
words | reverse | list
'abc' | reverse
numbers | sum
people[:3] | sum(attribute='age')
numbers | sum(start=10)
numbers | min
numbers | max
words | min
empty | max is defined
words | map('upper') | list
words | map('replace', 'b', 'x') | list
people | map(attribute='age', default=0) | list
people | map(attribute='name') | join('/')
numbers | select | list
numbers | select('odd') | list
numbers | select('greaterthan', 2) | list
numbers | reject('even') | list
messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list
messages | selectattr('role', 'eq', 'system') | list | length
messages | rejectattr('role', 'equalto', 'user') | list | length
people | selectattr('age') | list | length
people | selectattr('age', 'defined') | list | length
people | rejectattr('age', 'defined') | map(attribute='name') | first
messages | selectattr('role', 'in', ['user', 'system']) | list | length
(messages | selectattr('role', 'equalto', 'tool')) is defined
'yes' if messages | selectattr('role', 'equalto', 'tool') else 'no'
nested | dictsort
{'b': 1, 'A': 2, 'c': 0} | dictsort
{'b': 1, 'A': 2, 'c': 0} | dictsort(true)
{'b': 1, 'A': 2, 'c': 0} | dictsort(by='value')
{'b': 1, 'A': 2, 'c': 0} | dictsort(reverse=true)
{'b': 1} | items | list
missing | items | list
missing | default('d')
missing | d
none_value | default('d')
none_value | default('d', true)
empty_text | default('d', boolean=true)
empty | default('d', true)
tools | tojson
tools[0] | tojson(indent=2)
tools[0] | tojson(indent=4)
markup | tojson
text | tojson
text | tojson(ensure_ascii=true)
'😀\\x7f\\x01\\\\/' | tojson(ensure_ascii=true)
'😀\\x7f\\x01\\\\/"' | tojson
[1, 2.0, none, true, 'x', [], {}] | tojson
[1, [2, {}], {'a': []}] | tojson(indent=1)
{'b': 1, 'a': 2} | tojson(sort_keys=true)
{'b': 1, 'a': 2} | tojson(separators=(',', ':'))
{1: 2, none: 3, true: 4} | tojson
(1, 2) | tojson
1e100 | tojson
number | string ~ 'x'
'12' | int
' 12 ' | int
'x' | int
'x' | int(5)
'3.9' | int
3.9 | int
-3.9 | int
none_value | int
'2.5' | float
'x' | float
3 | float
-3 | abs
-3.5 | abs
2.5 | round
3.5 | round
2.567 | round(2)
2.567 | round(1, 'floor')
2.1 | round(method='ceil')
5 | round
real | round | int
lines | indent
lines | indent(2)
lines | indent(2, true)
lines | indent(2, first=true, blank=true)
lines | indent('> ')
markup | safe
words | length
words | count
nested | length
missing | length
missing | list
missing | join(',')
missing | upper
missing | trim
words | list | length
'abc' | list
range(3) | list
range(1, 4) | list
range(10, 0, -3) | list
range(0) | list
range(3)[1]
dict(a=1, b='x')
dict({'a': 1}, b=2)
dict([['a', 1], ('b', 2)])
number is defined
missing is defined
missing is not defined
missing is undefined
none_value is none
none_value is not none
missing is none
text is string
words is string
number is number
true is number
real is number
number is integer
true is integer
real is float
true is boolean
number is boolean
true is true
1 is true
false is false
nested is mapping
words is mapping
words is iterable
text is iterable
number is iterable
nested is iterable
words is sequence
text is sequence
nested is sequence
number is sequence
missing is iterable
number is odd
number is even
number is divisibleby 7
number is divisibleby(2)
number is equalto 7
number is eq 8
number is ne 8
number is gt 6
number is ge 7 and number is lt 8 and number is le 7
text is upper
'ABC1' is upper
'abc1' is lower
'12' is lower
'a' is in ['a', 'b']
'a' is in 'abc'
range is callable
text is callable
not missing is defined
number is not none and number > 5
text is string or missing.x
missing
missing ~ 'x'
missing == missing2
not missing
'%' ~ number
number|string|length
[1, 2, 3] | map('string') | join
words[0] | upper ~ words[1] | lower
'a' ~ 'b' | upper
1 + 2 | string | length
(1 + 2) | string
-number
+number
- real
--number
not not number
messages | length > 3
messages | length - 1
loop is defined
[[1, 2], [3]] | map('first') | list
[[1, 2], [3]] | map('sum') | list
messages[0:1] + messages[2:]
words == words[:]
nested.a.b == [1, 2, {'c': 'deep'}]
[1, 2,]
{'a': 1,}
'a' if number else
namespace(a=1).a
namespace({'a': 2}).a
namespace(a=1).b is defined
missing.x
missing['x']
missing()
number()
none_value()
1 + 'a'
'a' + 1
'a' - 1
none_value + 1
'a' < 1
none_value < 1
1 / 0
1 % 0
1.0 // 0
words + 'a'
words | sum
number | length
none_value | length
number | list
range(200000) | list
range(1, 2, 0)
words[::0]
'x' in number
1 in 'abc'
words | map('nope') | list
words.append('x')
nested.update({})
nested.pop('a')
missing | tojson
'a'.split('')
'abc' | join(attribute='x', nope=1)
raise_exception('stop here')
(messages | map(attribute='role'))[0]
(messages | map(attribute='role')) | length
text.nope()
messages.nope
''.join(numbers)
nested is nope
1 is 2
]
(1
{1: }
'unclosed
a b
1 +
.5
a.
a[
f(1, a=1, 2)
f(*words)
true = 1
01
""".strip("\n").split("\n")

TEMPLATES = [
    "", "plain", "trailing newline\n", "two newlines\n\n", "\n", "{{ 1 }}\n", "a\r\nb\rc\n", "a{{ '\r\n' }}b",
    "{% if true %}\nyes\n{% endif %}\nafter", "  {% if true %}\n  yes\n  {% endif %}\n  after", "x  {% if true %}  yes  {% endif %}  after",
    "a\n  {%- if true -%}\n  yes\n  {%- endif -%}\n  after", "a {{- 1 -}} b {{ 2 }} c {{- ' 3 ' }}", "  {%+ if true %}yes{% endif +%}\nz", "  {%- if true +%}\nyes{% endif %}",
    "a{# comment #}b", "a\n  {# comment #}\nb", "a\n{#- comment -#}\n  b", "{# {{ not }} {% run %} #}x", "{#-#}x", "  {#+ c +#}\ny", "a {# unclosed",
    "{% raw %}{{ x }} {% if %}{% endraw %}", "a {%- raw -%} {{ x }} {%- endraw -%} b", "{% raw %}\n x\n  {% endraw %}\ny", "{% raw %} unclosed",
    "{{ '}}' }}{{ \"%}\" }}{{ {'a': {'b': 1}}.a.b }}", "{% set x = '%}' %}{{ x }}", "{ { } } {% if 1 %}{}{% endif %}", "{{", "{% if", "{{ 1 }", "}} %} #}", "{%%}", "{{}}", "{{ }}",
    "{% if number > 5 %}big{% elif number > 2 %}middle{% else %}small{% endif %}", "{% if empty %}a{% elif missing %}b{% elif text %}c{% endif %}",
    "{% if 1 %}{% if 0 %}a{% else %}b{% endif %}{% endif %}",
    "{% for m in messages %}{{ m.role }}:{{ m['content'] | trim }};{% endfor %}",
    "{% for m in messages %}{{ loop.index }}/{{ loop.index0 }}/{{ loop.revindex }}/{{ loop.revindex0 }}/{{ loop.length }}/{{ loop.first }}/{{ loop.last }} {% endfor %}",
    "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '-' }}>{{ loop.nextitem.role if not loop.last else '-' }} {% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content }}{% else %}none{% endfor %}", "{% for m in empty %}x{% else %}nothing{% endfor %}",
    "{% for m in messages if m.role == 'tool' %}x{% else %}nothing{% endfor %}", "{% for x in missing %}x{% else %}nothing{% endfor %}",
    "{% for k, v in nested.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in nested %}{{ k }};{% endfor %}", "{% for c in 'añb' %}{{ c }}.{% endfor %}",
    "{% for a, b in [(1, 2), [3, 4]] %}{{ a + b }} {% endfor %}", "{% for i, (a, b) in [(1, (2, 3))] %}{{ i }}{{ a }}{{ b }}{% endfor %}", "{% for a, b in [(1, 2, 3)] %}x{% endfor %}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in range(2) %}{% for j in range(3) %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{{ loop.index }};{% endfor %}",
    "{% for i in range(4) %}{{ loop.cycle('a', 'b', 'c') }}{% endfor %}", "{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{% endfor %}",
    "{% for i in 1, 2, 3 %}{{ i }}{% endfor %}", "{% for i in [3, 1] | sort %}{{ i }}{% endfor %}", "{% for x in number %}{% endfor %}", "{% for m in messages recursive %}{{ loop(m) }}{% endfor %}",
    "{% set x = 1 %}{% for i in range(3) %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}", "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}", "{% set ns = namespace() %}{% set ns.a = [1] %}{% set ns.a = ns.a + [2] %}{{ ns.a }}",
    "{% set number.x = 1 %}", "{% set nested.x = 1 %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ namespace(_x=1) }}",
    "{% set a, b = 1, 2 %}{{ b }}{{ a }}", "{% set a, b = [1] %}", "{% set a = b = 1 %}", "{% set messages = messages[1:] %}{{ messages | length }}{% for m in messages %}{{ m.role }}{% endfor %}",
    "{% set x %}a{{ number }}b{% endset %}[{{ x }}]", "{% set x | upper | trim %} a{{ number }}b {% endset %}[{{ x }}]", "{% for i in range(2) %}{% set x %}{{ i }}{% endset %}{{ x }}{% endfor %}{{ x is defined }}",
    "{% set x = 1 if number > 5 else 2 %}{{ x }}", "{% set x = number, real %}{{ x }}", "{% set range = 5 %}{{ range }}", "{% set loop = 3 %}{{ loop }}{% for i in [1] %}{{ loop.index }}{% endfor %}{{ loop }}",
    "{% macro f(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}|{{ f(1, 3) }}|{{ f(1, c='y') }}|{{ f(b=1, a=2) }}|{{ f() }}", "{% macro f(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}", "{% macro f() %}{{ later }}{% endmacro %}{% set later = 5 %}{{ f() }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=1) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, a=1) }}", "{% macro f(a=1, b) %}{{ a }}{% endmacro %}{{ f(1) }}",
    "{% macro f() %}  x  {% endmacro %}{{ f() | trim | length }}", "{% for i in range(2) %}{% macro f() %}{{ i }}{% endmacro %}{{ f() }}{% endfor %}", "{% macro f(x) %}{% for i in x %}{{ loop.index }}{% endfor %}{% endmacro %}{% for j in [1, 2] %}{{ f('ab') }}{% endfor %}",
    "{% macro wrap(tag) %}<{{ tag }}>{{ caller() }}</{{ tag }}>{% endmacro %}{% call wrap('b') %}in {{ number }}{% endcall %}", "{% macro each(list) %}{% for x in list %}{{ caller(x, loop.index) }}{% endfor %}{% endmacro %}{% call(item, n) each([5, 6]) %}[{{ n }}:{{ item }}]{% endcall %}",
    "{% filter upper %}a{{ text }}b{% endfilter %}", "{% filter replace('a', 'b') | upper %}banana{% endfilter %}", "{% with a = 1, b = number %}{{ a + b }}{% endwith %}{{ a is defined }}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% for i in range(3) %}{% set x %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endset %}{{ x }}{% endfor %}", "{% for i in range(3) %}{% filter upper %}a{% if i == 1 %}{% break %}{% endif %}b{% endfilter %}{% endfor %}",
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}", "{% generation %}é{% endgeneration %}x{% generation %}{% endgeneration %}", "  {% generation %}\n  a\n  {% endgeneration %}\n  b", "{%- generation -%} a {%- endgeneration -%}", "{% generation %}{% set y = 1 %}{{ y }}{% endgeneration %}{{ y is defined }}",
    "{% set it = messages | map(attribute='role') %}{{ it | first }}{{ it | list }}{{ it | list }}", "{% set it = words | select('equalto', 'c') %}{% if 'c' in it %}y{% endif %}{% if 'c' in it %}y{% else %}n{% endif %}", "{% set it = words | reverse %}{% for x in it %}{{ x }}{% endfor %}{% for x in it %}{{ x }}{% endfor %}",
    "{% set first, rest = words[0], words[1:] %}{{ first }}{{ rest }}", "{{ text }}{{ text }}", "{{ 'a' if true }}{{ 'a' if false }}", "{% if messages[0].role == 'system' %}{{ messages[0].content }}{% endif %}{{ bos_token }}", "{%if 1%}x{%endif%}", "{%- if 1 -%}\n\nx\n\n{%- endif %}\n\ny",
    "{% if true %}", "{% endif %}", "{% for x in words %}", "{% else %}", "{% if true %}{% endfor %}", "{% unknown %}", "{% extends 'x' %}", "{% include 'x' %}", "{% import 'x' as y %}", "{% do words %}", "{% break %}", "{% macro f( %}", "{% set %}", "{% set 1 = 2 %}", "{% for in x %}{% endfor %}", "{% if %}{% endif %}", "{% endset %}", "{% macro 1f() %}{% endmacro %}", "{{ 1 | nope }}", "{{ 1 is nope }}", "{{ x | }}", "{% filter nope %}{% endfilter %}", "{% generation %}", "{% endgeneration %}",
    "{{ loop.nope is defined }}{% for i in [1] %}{% endfor %}", "{% for i in [1] %}{{ loop.nope is defined }}{% endfor %}", "{{ messages[0].items() | list | length }}", "{{ ('a', 1) in [('a', 1)] }}", "{{ {'a': 1}['a'] }}{{ {'a': 1}.a }}{{ [1, 2][1] }}{{ 'abc'[1] }}{{ (1, 2)[0] }}",
    "{{ 'x' ~ loop }}", "{{ not_there.a.b }}", "{% if not_there.a %}{% endif %}", "{% if not_there and not_there.a %}{% endif %}ok", "{% if not_there is defined and not_there.a %}x{% else %}y{% endif %}", "{{ raise_exception('No ' ~ number ~ ' roles!') if number == 7 }}", "{{ (words | first) ~ (words | last) }}", "{{ messages | tojson | length }}", "{%- for tool in tools %}\n{{ tool | tojson(indent=4) }}\n{%- endfor %}\n", "{% for key, value in tools[0].function.parameters.properties | dictsort %}{{ key }}:{{ value.type }} {% endfor %}",
    "{% set today = strftime_now('%Y') if not_there else 'then' %}{{ today }}", "{{ words | map('length') | list }}{{ words | map('trim') | map('upper') | join }}", "{{ 1.0 }}{{ 1e5 }}{{ 1e-5 }}{{ 12345.678 }}{{ 1.0e15 }}{{ 1e17 }}{{ 0.1 }}{{ 1.10 }}", "{{ true }}{{ none }}{{ True }}{{ None }}{{ False }}", "{{ 9007199254740993 }}{{ 9223372036854775807 }}",
]


def run(template):
    record = {"template": template, "rendered": None}
    try:
        compiled = _compile_jinja_template(template)
        blocks, spans = [], []
        with compiled.environment.activate_tracker(blocks, spans):
            for block in compiled.generate(**json.loads(json.dumps(VARIABLES))):
                blocks.append(block)
        text = "".join(blocks)
        text.encode()
        record["rendered"] = text
        record["generation"] = [[len(text[:begin].encode()), len(text[:end].encode())] for begin, end in spans]
    except Exception as error:  # whatever jinja2 or Python raise: the template is refused
        record["why"] = f"{type(error).__name__}: {error}"[:200]
    return record


def main():
    templates = ["[{{ " + e + " }}]" for e in EXPRESSIONS] + TEMPLATES
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(json.dumps({"variables": VARIABLES}, ensure_ascii=False) + "\n")
        for template in templates:
            file.write(json.dumps(run(template), ensure_ascii=False) + "\n")
    print(len(templates), "templates")


main()
