/* The image: a started interpreter, saved in the executable as its own data. */
#ifndef PYCNI_IMAGE_H
#define PYCNI_IMAGE_H

/* -DIMAGE=0 builds a program that starts its interpreter anew in every run. */
#ifndef IMAGE
#define IMAGE 1
#endif

/* From here on memory comes out of the image. */
void image_open(void);

/* Ends this thread's part in the interpreter and writes the image to stdout. */
int image_write(void);

/* Enters the saved interpreter, in a later process. */
int image_wake(void);

/* Whether this process began with a saved interpreter in its data. */
int image_is_saved(void);

#endif
