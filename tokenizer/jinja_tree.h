/* A parsed template: nodes of one shape, whose kind says what its places hold. */
#ifndef GRAFT_TOKENIZER_JINJA_TREE_H
#define GRAFT_TOKENIZER_JINJA_TREE_H

#include "tokenizer/jinja.h"
#include "tokenizer/jinja_lex.h"
#include "tokenizer/jinja_value.h"

enum jinja_kind {
    /* expressions      name        one         two         three       list */
    NODE_CONSTANT,    /*                                                         (value) */
    NODE_NAME,        /* name */
    NODE_LIST,        /*                                                items */
    NODE_TUPLE,       /*                                                items */
    NODE_MAP,         /*                                                PAIR... */
    NODE_PAIR,        /*            key         value */
    NODE_ATTRIBUTE,   /* attribute  of */
    NODE_ITEM,        /*            of          index or SLICE */
    NODE_SLICE,       /*            begin       end         step        each may be NULL */
    NODE_CALL,        /*            callee                              arguments */
    NODE_ARGUMENT,    /* NULL or keyword, one */
    NODE_FILTER,      /* (builtin)  input                               arguments */
    NODE_TEST,        /* (builtin)  input                               arguments */
    NODE_PIPED,       /* the text of a block that is filtered */
    NODE_NOT,         /*            one */
    NODE_NEGATIVE,    /*            one */
    NODE_POSITIVE,    /*            one */
    NODE_AND,         /*            left        right */
    NODE_OR,          /*            left        right */
    NODE_BINARY,      /* operation   left        right */
    NODE_COMPARE,     /*            first                               OPERAND... */
    NODE_OPERAND,     /* operation   one */
    NODE_CONDITIONAL, /*            condition   then        else or NULL */
    /* statements */
    NODE_TEXT,         /*                                                        (value) */
    NODE_PRINT,        /*           one */
    NODE_IF,           /*                                               BRANCH... */
    NODE_BRANCH,       /*           condition or NULL                   body */
    NODE_FOR,          /*           target      over        if or NULL  body; otherwise: else */
    NODE_SET,          /*           target      value */
    NODE_SET_BLOCK,    /*           target      filters of PIPED, NULL  body */
    NODE_MEMBER,       /* attribute, of namespace `one`: a target of SET */
    NODE_WITH,         /*                                               body; otherwise: SET... */
    NODE_MACRO,        /* name                                          body; otherwise: PARAMETER... */
    NODE_PARAMETER,    /* name      default or NULL */
    NODE_CALL_BLOCK,   /*           CALL        MACRO of its body */
    NODE_FILTER_BLOCK, /*           filters of PIPED                    body */
    NODE_GENERATION,   /*                                               body */
    NODE_BREAK,
    NODE_CONTINUE,
};

enum jinja_operator {
    OPERATOR_ADD,
    OPERATOR_SUBTRACT,
    OPERATOR_MULTIPLY,
    OPERATOR_DIVIDE,
    OPERATOR_FLOOR_DIVIDE,
    OPERATOR_REMAINDER,
    OPERATOR_POWER,
    OPERATOR_JOIN, /* ~ */
    OPERATOR_EQUAL,
    OPERATOR_UNEQUAL,
    OPERATOR_LESS,
    OPERATOR_LESS_EQUAL,
    OPERATOR_GREATER,
    OPERATOR_GREATER_EQUAL,
    OPERATOR_IN,
    OPERATOR_NOT_IN,
};

struct jinja_node {
    enum jinja_kind kind;
    enum jinja_operator operation;
    uint32_t at; /* offset in the source */
    const char *name;
    const struct builtin *builtin;
    struct value value;
    const struct jinja_node *one, *two, *three, *list, *otherwise;
    struct jinja_node *next; /* in the list that it stands in */
};

struct jinja {
    struct jinja_source source;
    const struct jinja_node *body;
    bool has_generation;
};

#endif
