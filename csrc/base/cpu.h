/* What this processor and operating system can run. */
#ifndef QB_CPU_H
#define QB_CPU_H

#include "base/isa.h"
#include "base/status.h"

/* Bit (1 << tier) is set for each tier that can run here; scalar always can. */
uint32_t qb_cpu_isa_mask(void);

/* The best tier of a mask. */
qb_isa qb_isa_best(uint32_t mask);

const char *qb_isa_name(qb_isa isa);

/* QB_ERR_RANGE for a name that is not in the list. */
qb_status qb_isa_by_name(qb_isa *out, const char *name);

#endif
