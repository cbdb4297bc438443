/* SPDX-License-Identifier: BSD-3-Clause
 *
 * ipi.h - the driver's side of the i-PI protocol as a pure machine: bytes in, events out; replies in,
 * bytes out.
 *
 * Sockets, time, states and units live in the server; here are only the bytes, so that all of it can be
 * replayed, split at every byte and fuzzed. Nothing allocates and nothing keeps a pointer past a call.
 * Numbers are int32 and float64 in native byte order without padding, and pass through as they are: Bohr,
 * Hartree, NaN.
 *
 *     in   STATUS, GETFORCE, EXIT     12 bytes each, as every header: upper case, blank padded
 *          INIT        bead | nbytes | text
 *          POSDATA     h | inverse | N | 3N positions               single: classic and consolidated
 *          POSDATA     N | B x (h | inverse) | B x 3N positions     batched; B is told in the INIT text
 *          POSDATA     N | the first time: 6 x (nbytes | name)      shared memory, single and batched
 *
 *     out  NEEDINIT, READY, HAVEDATA
 *          ERROR       nbytes | text                                an extension, for those who ask for it
 *          FORCEREADY  B x E | N | B x 3N forces | B x 9 virial | B x (nbytes | extras)     single: B = 1
 *          FORCEREADY  B x (nbytes | extras)                        shared memory
 *
 * With shared memory the peer names six segments of its own, ipi_segment, of B structures each; all other numbers
 * are there. Nothing on the wire says so: who makes the link knows it.
 *
 * Source: i-PI 3.3.1 ipi/interfaces/sockets.py and ASE 3.29 ase/calculators/socketio.py, as seen on the wire.
 */
#ifndef NF_PROTOCOL_IPI_H
#define NF_PROTOCOL_IPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IPI_HEADER = 12, IPI_INIT_MAX = 1 << 17 };

/** What a peer may send; the announcement of more breaks the connection before a byte of it is awaited. */
typedef struct {
    uint32_t max_atoms;      /* in one structure */
    uint32_t max_structures; /* in one batch */
    uint32_t max_init;       /* bytes of INIT text; above IPI_INIT_MAX counts as IPI_INIT_MAX */
} ipi_limits;

/** A POSDATA message arrives as POSDATA, a CELL for each structure, one or more POSITIONS and POSDATA_END; with shared
 *  memory as POSDATA, the first time a SEGMENT for each ipi_segment in their order, and POSDATA_END. */
typedef enum {
    IPI_STATUS,
    IPI_INIT,
    IPI_POSDATA,
    IPI_CELL,
    IPI_POSITIONS,
    IPI_SEGMENT,
    IPI_POSDATA_END,
    IPI_GETFORCE,
    IPI_EXIT,
} ipi_kind;

/** What is shared, float64 and row-major as on the wire; the peer writes the first three and reads the others. */
typedef enum {
    IPI_SEGMENT_POSITIONS, /* [B][3N] */
    IPI_SEGMENT_CELLS,     /* [B][9] */
    IPI_SEGMENT_INVERSES,  /* [B][9] */
    IPI_SEGMENT_ENERGIES,  /* [B] */
    IPI_SEGMENT_FORCES,    /* [B][3N] */
    IPI_SEGMENT_VIRIALS,   /* [B][9] */
    IPI_SEGMENTS
} ipi_segment;

/** One event; the member named after its kind is set. Pointers lead into the decoder or the input: they are
 *  good until either is used again. */
typedef struct {
    ipi_kind kind;
    union {
        struct {
            int32_t bead;     /* i-PI: the id of its first request, not a bead to rely on */
            uint32_t ntext;   /* bytes received */
            const char *text; /* a copy with a NUL behind it; may have others inside (ASE sends one NUL) */
        } init;
        struct {
            uint32_t natoms;      /* of each structure, > 0 */
            uint32_t nstructures; /* 1 when single */
        } posdata;
        struct {
            uint32_t structure; /* from 0 */
            double h[9];        /* Bohr, row-major, lattice vectors are COLUMNS; ASE: zeros for a molecule */
        } cell;
        struct {
            size_t first;                 /* index of the first double, over all structures of the message */
            size_t count;                 /* whole doubles, > 0 */
            const unsigned char *payload; /* 8*count bytes, Bohr, unaligned: memcpy them. NULL: ipi_dec_took */
        } positions;
        struct {
            ipi_segment which;
            uint32_t nname;   /* 1 to IPI_SEGMENT_NAME */
            const char *name; /* any bytes, as they came, and a NUL behind them */
        } segment;
    };
} ipi_event;

enum { IPI_SCRATCH = 2 * 72 + 4, IPI_MESSAGE_MAX = 160, IPI_SEGMENT_NAME = 255 };

/** The decoder. The caller owns it and leaves its members alone. */
typedef struct {
    ipi_limits limits;
    int stage;
    uint32_t batch;                     /* structures in the next POSDATA */
    uint32_t natoms, nstructures, cell; /* of the POSDATA under way; cell: the next one to report */
    size_t done, total;                 /* doubles of its positions */
    bool shared;
    int segment;                                /* the next one to report */
    uint32_t segment_atoms, segment_structures; /* what they were made for */
    int32_t bead;
    uint32_t ntext;                     /* of INIT, or of a segment's name */
    size_t have;                        /* bytes of the piece under way: of text, or else of scratch */
    unsigned char scratch[IPI_SCRATCH]; /* a header, what opens a payload, a cell, or a split double */
    char text[IPI_INIT_MAX + 1];
    char error[IPI_MESSAGE_MAX];
} ipi_dec;

/** Ready for the first byte of a connection, in the single dialect. */
void ipi_dec_init(ipi_dec *d, const ipi_limits *limits);

/** From the next message on POSDATA is that of shared memory, for good. Names come once, and every later POSDATA has
 *  the same number of atoms and structures: i-PI makes the segments once a connection, for these. */
void ipi_dec_set_shared(ipi_dec *d);

/** Structures in every later POSDATA, as `batch_size` says on the IPI_INIT event; <= 1 is the single
 *  dialect, since i-PI never sends the batched form with one structure. 0; <0 above max_structures: the
 *  decoder is broken then, and has the sentence. */
int ipi_dec_set_batch(ipi_dec *d, int nstructures);

/** Takes up to n bytes from p (may be NULL if n is 0) and says in *used how many.
 *
 *  1   *ev is complete: call again with what is left, even if nothing is, since more events may be pending
 *  0   all n bytes are taken, more are wanted
 *  <0  the peer broke the protocol, for good: ipi_dec_error says how
 */
int ipi_feed(ipi_dec *d, const unsigned char *p, size_t n, size_t *used, ipi_event *ev);

/** Positions without a copy: how many bytes of them may be read straight into the array that takes the positions of the
 *  message, and from which byte on. 0 where something else comes next, which is fed. One may change between the two at
 *  any byte, since a split double is kept here too. */
size_t ipi_dec_direct(const ipi_dec *d, size_t *byte_offset);

/** n bytes were read to array + byte_offset, and the array holds what came before or has room for it: up to 7 bytes
 *  there may be written anew. The array may have moved since the last call.
 *
 *  1   *ev is IPI_POSITIONS for the doubles that became whole, with payload NULL: they are in place
 *  0   none did
 *  <0  n is more than ipi_dec_direct allows: the decoder is broken
 *
 *  IPI_POSDATA_END comes from ipi_feed, as ever. */
int ipi_dec_took(ipi_dec *d, void *array, size_t n, ipi_event *ev);

/** Whether all that was fed were whole messages: only then may the peer leave. */
bool ipi_dec_idle(const ipi_dec *d);

/** One sentence for a log, printable ASCII; "" as long as nothing is wrong. */
const char *ipi_dec_error(const ipi_dec *d);

typedef enum { IPI_READY, IPI_NEEDINIT, IPI_HAVEDATA } ipi_word;

/** The answer to STATUS. */
void ipi_status(unsigned char out[IPI_HEADER], ipi_word word);

/** The result for one structure, Hartree and Bohr; borrowed for the call. No extras are sent as one blank,
 *  because ASE and others take a read of zero bytes for a closed socket. */
typedef struct {
    double energy;
    const double *forces; /* [3*natoms]; may be where they belong already: ipi_forces_at */
    double virial[9];     /* -dE/dstrain, not over the volume; symmetric, since ASE reads it transposed */
    const char *extras;   /* UTF-8, nextras bytes; NULL if there are none */
    uint32_t nextras;
} ipi_reply;

/** Where the forces of the first of n structures lie in FORCEREADY, those of the others behind them: who computes them there
 *  spares a copy. A multiple of 8. */
size_t ipi_forces_at(size_t n);

/** Bytes of FORCEREADY for n structures of natoms atoms each; the single form is the batched one with n = 1.
 *  0 if the wire cannot carry it: no atoms or structures, natoms or an nextras beyond int32, or more bytes
 *  than a size_t counts. */
size_t ipi_forceready_size(uint32_t natoms, size_t n, const ipi_reply reply[]);

/** Writes all of it to out[ipi_forceready_size(natoms, n, reply)] and returns that size; if 0, nothing.
 *  Send it in one piece: i-PI drops a driver that pauses for 2 s inside a reply. */
size_t ipi_forceready(unsigned char *out, uint32_t natoms, size_t n, const ipi_reply reply[]);

/** As the two above where the numbers go through shared memory: FORCEREADY and the extras of n structures; natoms, energy,
 *  forces and virial are left aside. */
size_t ipi_forceready_shared_size(size_t n, const ipi_reply reply[]);
size_t ipi_forceready_shared(unsigned char *out, size_t n, const ipi_reply reply[]);

enum { IPI_ERROR_TEXT = 500, IPI_ERROR_MOST = IPI_HEADER + 4 + IPI_ERROR_TEXT };

/** Why a link is about to be closed, for peers that asked for it: ERROR | nbytes | text, of at most IPI_ERROR_TEXT bytes.
 *  An extension: neither i-PI nor ASE know the word. Returns the size of the message. */
size_t ipi_error(unsigned char out[IPI_ERROR_MOST], const char *text, size_t n);

/** One `key : value` of an INIT text: views into it, trimmed, without a NUL. */
typedef struct {
    const char *key, *value; /* value: NULL for an item without a colon */
    size_t nkey, nvalue;
} ipi_param;

/** The next item of ` k : v , k : v , ` from *cursor (NUL-terminated), which moves on; false at the end.
 *  Empty items are skipped. A value may hold colons but no comma, since i-PI quotes nothing. */
bool ipi_init_next(const char **cursor, ipi_param *out);

/** Structures in each POSDATA by the value of `batch_size`, n bytes: a whole number from 1 to INT32_MAX, or -1. The last
 *  batch_size of a text counts, since i-PI appends its own to what the user wrote. */
int ipi_batch_size(const char *value, size_t n);

#endif
