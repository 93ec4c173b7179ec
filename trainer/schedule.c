/* The learning rate over the steps. */
#include "trainer/schedule.h"

#include <math.h>

double schedule_rate(const struct training_settings *settings, int64_t step, int64_t total)
{
    double done = (double)(step - 1), all = (double)total;
    double warmup = settings->warmup_steps ? (double)settings->warmup_steps : ceil(settings->warmup_ratio * all);
    double timescale = warmup > 0 ? warmup : 10000; /* inverse_sqrt only */
    double rest = all - warmup > 1 ? all - warmup : 1;
    double factor = 1;
    if (settings->lr_scheduler_type != CONSTANT && done < warmup)
        return settings->learning_rate * (done + 1) / warmup;
    switch ((enum schedule)settings->lr_scheduler_type) {
    case CONSTANT:
    case CONSTANT_WITH_WARMUP:
        break;
    case LINEAR:
        factor = fmax(0, (all - done) / rest);
        break;
    case COSINE:
        factor = fmax(0, 0.5 * (1 + cos(M_PI * (done - warmup) / rest)));
        break;
    case INVERSE_SQRT:
        factor = 1 / sqrt((done + timescale - warmup) / timescale);
        break;
    }
    return settings->learning_rate * factor;
}
